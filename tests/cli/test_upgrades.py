"""fleet/docs/upgrades.md, followed as it is written, each command in a process of its own."""

import re
import shlex
from pathlib import Path

from .fleets import SHOP, Fleet
from .processes import run

PAGE = (Path(__file__).resolve().parents[2] / "fleet/docs/upgrades.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.S | re.M)
BEFORE, LATER, AUTOMATIC = (text for kind, text in BLOCKS if kind == "python")
CREATE, UPGRADE = ([*map(shlex.split, text.splitlines())] for kind, text in BLOCKS if kind == "sh")


def follow(fleet: Fleet, commands: list[list[str]]) -> list[str]:
    said = []
    for command, *words in commands:
        assert command == "fleet"
        done = run(fleet.directory, *words, **fleet.environ)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    return said


def test_the_page_is_followed_and_back_again(three: Fleet) -> None:
    shop = three.directory / "shop.py"
    assert three.say("group", "add", "acct", "shop:Account").code == 0, "the nodes have imported the module"
    shop.write_text(BEFORE)
    assert follow(three, CREATE)[-1] == "50\n"
    shop.write_text(LATER)
    changed, versions, called = follow(three, UPGRADE)
    assert changed.startswith("tally is executed by shop.Tally version 2 (")
    assert versions.count("executes it") == 3
    assert called == f"{re.findall(r'^The last line prints ([0-9]+)', PAGE, re.M)[0]}\n"
    shop.write_text(BEFORE)
    changed, _ = follow(three, UPGRADE[:2])
    assert changed.startswith("tally is executed by shop.Tally version 1 (")
    assert follow(three, [["fleet", "call", "tally", "put", "1"]]) == ["52\n"]
    assert "auto_upgrade=True" in AUTOMATIC
    shop.write_text(SHOP)
