"""A group with `codec="msgspec"` on real nodes that cannot unpickle, and a caller of the role `caller`."""

import datetime
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fleet
from fleet.errors import BadArguments, CommandFailed, Rejected
from fleet.roles import CALLER
from fleet.secret import derive_secret
from tests.processes.fleet_nodes import NodeFleet
from tests.processes.nodes import CLUSTER
from tests.support.typed_shop import Color, Item, Receipt, TypedShop
from tests.support.waiting import eventually

HAT = Item("hat", 9.5, datetime.date(2026, 1, 2), Color.BLUE)
# Taken by every interpreter that has its directory on PYTHONPATH: nodes and their executors.
NO_PICKLES = """
import pickle, sys

def refuse(*args, **kwargs):
    with open({seen!r}, "a") as file:
        file.write(" ".join(sys.orig_argv) + "\\n")
    raise RuntimeError("this process does not unpickle")

class Unpickler(pickle.Unpickler):
    load = refuse

pickle.load = pickle.loads = refuse
pickle.Unpickler = Unpickler
"""


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """What the nodes of this test have unpickled."""
    return tmp_path / "unpickled"


@pytest.fixture
def shop(yard: NodeFleet, tmp_path: Path, seen: Path) -> NodeFleet:
    places = tmp_path / "site"
    places.mkdir()
    (places / "sitecustomize.py").write_text(NO_PICKLES.format(seen=str(seen)))
    for name in ("n1", "n2", "n3"):
        node = yard.add(name, zone=name, purge_after=600.0, data_modules=["tests.support"])
        node.path = str(places)
        node.start()
    yard.await_nodes("n1", "n2", "n3")
    return yard


def test_nothing_is_unpickled_on_a_node(shop: NodeFleet, seen: Path, tmp_path: Path) -> None:
    file = tmp_path / "caller"
    file.write_bytes(derive_secret(shop.secret_file.read_bytes().strip(), CALLER))
    file.chmod(0o600)
    with fleet.connect(shop["n1"].address, cluster=CLUSTER, secret_file=file, timeout=30) as client:
        one = client.create_group("shop", TypedShop)
        with one.watch() as events:
            assert one.put(HAT) == 1 and one.find("hat") == HAT
            assert one.put.options(key="k")(HAT) == one.put.options(key="k")(HAT) == 1
            receipt = one.sell("hat", to="me")
            assert receipt == Receipt(1, (HAT,)) and one.all_sold() == [receipt]
            assert next(iter(events)).value["items"][0]["color"] == "blue"
        with pytest.raises(Rejected) as refused:
            one.sell("cap")
        assert refused.value.value == {"missing": ["cap"]}
        with pytest.raises(CommandFailed, match="as it was told to"):
            one.fail()
        with pytest.raises(BadArguments):
            one.put("no item")  # type: ignore[arg-type]
        one.remind(datetime.date(2026, 1, 7))
        eventually(lambda: one.reminders() == 7)
        for name in ("n1", "n2", "n3"):  # states are loaded from disks
            shop[name].kill()
            shop[name].start()
        eventually(lambda: one.put(HAT) == 1)
        assert one.all_sold() == [receipt] and one.reminders() == 7
        words = ["call", "shop", "put", json.dumps({"name": "cap", "price": 1.5, "made": "2026-01-01"})]
        where = ["--connect", shop["n1"].address, "--cluster", CLUSTER, "--secret-file", str(file)]
        told = subprocess.run(
            [sys.executable, "-m", "fleet.cli", *words, *where], capture_output=True, text=True
        )
        assert told.returncode == 0 and told.stdout.strip() == "2", told.stderr
    assert not seen.exists(), seen.read_text()


def test_the_trap_works(tmp_path: Path, seen: Path) -> None:
    trap = tmp_path / "sitecustomize.py"
    trap.write_text(NO_PICKLES.format(seen=str(seen)))
    for line in ("pickle.loads(b'N.')", "pickle.Unpickler(io.BytesIO(b'N.')).load()"):
        command = [sys.executable, "-c", f"import io, pickle; {line}"]
        ended = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
        assert "does not unpickle" in ended.stderr
    assert len(seen.read_text().splitlines()) == 2
