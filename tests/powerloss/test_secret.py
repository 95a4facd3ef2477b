"""The secret that fleet makes: after a loss of power it is the same one, or another is made; never a part of
one, with which no node would start."""

import random
from pathlib import Path

import pytest

from fleet.secret import find_secret

from .bench import Bench
from .disk import Chance
from .journal import Kind

HEAD = "import os\nfrom pathlib import Path\nos.environ['XDG_CONFIG_HOME'] = os.getcwd()\n"
AT_FIRST_NEED = "from fleet.secret import find_secret\nfind_secret()\n"
BY_CONFIG_INIT = (
    "from fleet.cli.configuration import _write\n_write(Path('fleet'), {'a': 'A', 'b': 'B'}, False)\n"
)
TAIL = "os.pwrite(os.open('said', os.O_WRONLY | os.O_CREAT), Path('fleet/secret').read_bytes(), 0)\n"


@pytest.mark.parametrize("make", [AT_FIRST_NEED, BY_CONFIG_INIT], ids=["at first need", "by config init"])
def test_a_secret_is_whole_and_stays_the_same(
    tmp_path: Path, library: Path, make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, library)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(bench.root))
    monkeypatch.delenv("FLEET_SECRET", raising=False)
    monkeypatch.delenv("FLEET_SECRET_FILE", raising=False)
    rng, said = random.Random(5), b""
    chances = [Chance.nothing(), Chance.everything(), Chance(rng, 0.5, 512), Chance(rng, 0.5, 512)]
    for record in bench.run(HEAD + make + TAIL):
        bench.disk.replay([record])
        if record.kind is Kind.WRITE and record.path.endswith("/said"):
            said = record.data.strip()
        for chance in chances:
            bench.disk.lose_power(chance)
            shown = find_secret().shown  # it may be another one until it was told
            assert shown == (said or shown)
    assert said
