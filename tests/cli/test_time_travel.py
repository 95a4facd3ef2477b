"""fleet/docs/time-travel.md, followed as it is written; and what the commands refuse."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .fleets import Fleet
from .processes import FLEET, PATIENCE_S, environment

PAGE = (Path(__file__).resolve().parents[2] / "fleet/docs/time-travel.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.S | re.M)
SHELL = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
(MODULE,) = [text for kind, text in BLOCKS if kind == "python"]
SHOWN = [text for kind, text in BLOCKS if not kind]


@pytest.fixture
def bank(three: Fleet) -> Iterator[Fleet]:
    (three.directory / "bank.py").write_text(MODULE)
    yield three
    sys.modules.pop("bank", None)
    three.say("group", "remove", "acct", "--yes")


def masked(text: str) -> str:
    """Without time and client."""
    return re.sub(r"\d{4}-\d\d-\d\d [\d:.]+  \S+", "WHEN  WHO", text)


def test_the_page_is_followed(bank: Fleet) -> None:
    said = {}
    for line in SHELL:
        command, *words = shlex.split(line)
        assert command == "fleet"
        if "debug" in words:
            typed = "p amount, fee, self.balance\nn\nn\nn\nn\n"
            variables = environment(bank.directory, **bank.environ)
            done = subprocess.run(
                [*FLEET, *words], input=typed, capture_output=True, text=True, timeout=PATIENCE_S,
                cwd=bank.directory, env=variables,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            said[line] = done.stdout
            continue
        told = bank.say(*words)
        assert told.code == 0, told
        said[line] = told.out
    bisected = said["fleet group bisect acct --where 'balance < 0'"]
    assert masked(bisected) == masked(SHOWN[0]) == "3  WHEN  WHO  withdraw(5)\n"
    logged = masked(said["fleet group log acct --from 2 --until 3"])
    assert logged == "2  WHEN  WHO  withdraw(4)\n3  WHEN  WHO  withdraw(5)\n"
    assert said["fleet group at acct 2"] == "acct at revision 2: bank.Account\n  balance = 5\n"
    assert json.loads(said["fleet group at acct 3 --json"])["state"] == {"balance": -1}
    debugged = said["fleet group debug acct 3"]
    for line in SHOWN[1].splitlines()[1:]:
        assert line.removeprefix("(Pdb) p amount, fee, self.balance") in debugged
    assert "bank.py(13)withdraw()" in debugged and "it returns -1" in debugged


def test_what_the_commands_refuse(bank: Fleet) -> None:
    assert bank.say("group", "add", "acct", "bank:Account", "--set", "keep=10").code == 0
    assert bank.say("call", "acct", "deposit", "3").code == 0
    late = bank.say("group", "at", "acct", "9")
    assert late.code == 1 and "the group has come to revision 1, not 9 yet" in late.err
    never = bank.say("group", "bisect", "acct", "--where", "balance < 0")
    assert (never.code, never.out) == (0, "acct: never, of what is kept\n")
    unknown = bank.say("group", "bisect", "acct", "--where", "blance < 0")
    assert unknown.code == 2 and "NameError: name 'blance' is not defined" in unknown.err
    wrong = bank.say("group", "bisect", "acct", "--where", "balance <")
    assert wrong.code == 2 and "is no expression of Python" in wrong.err
    found = bank.ask("group", "bisect", "acct", "--where", "self.balance == 3")
    assert (found["revision"], found["call"]["method"], found["call"]["args"]) == (1, "deposit", [3])
    assert [one["method"] for one in bank.ask("group", "log", "acct")] == ["deposit"]
    assert bank.say("group", "debug", "acct", "1", "--json").code == 2
    keep = bank.say("config", "change", "acct", "keep=a week")
    assert keep.code == 2 and "keep must be a number of entries, or a time such as '7d'" in keep.err
    assert bank.ask("config", "change", "acct", "keep=500")["changed"] == {"keep": [10, 500]}


def test_an_upgrade_that_would_have_given_another_past_waits_for_the_groups_name(bank: Fleet) -> None:
    assert bank.say("group", "add", "acct", "bank:Account", "--set", "keep=10", "--by-value").code == 0
    for n in range(3):
        assert bank.say("call", "acct", "deposit", str(n)).code == 0
    (bank.directory / "bank.py").write_text(MODULE.replace("+= amount", "+= 2 * amount"))
    sys.modules.pop("bank")
    refused = bank.say("group", "upgrade", "acct", "--by-value")
    assert (
        refused.code == 2
        and "deposit(1) at revision 2 differs: 1, state {'balance': 1} before," in refused.err
    )
    assert "`fleet group upgrade acct --force`" in refused.err
    assert bank.ask("call", "acct", "deposit", "0")["value"] == 3
    missing = bank.say("group", "upgrade", "acct", "--by-value", "--former", "nowhere")
    assert missing.code == 2 and "Directory 'nowhere' does not exist" in missing.err
    forced = bank.say("group", "upgrade", "acct", "--by-value", "--force")
    assert forced.code == 0, forced
    assert bank.ask("call", "acct", "deposit", "1")["value"] == 5
