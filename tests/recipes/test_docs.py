"""fleet/docs/recipes.md, run as it is written."""

import re
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet import recipes
from tests.recipes.conftest import SECRET

TEXT = (Path(__file__).parents[2] / "fleet" / "docs" / "recipes.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)


def test_the_examples_run_as_written(node: fleet.Node, capsys: pytest.CaptureFixture[str]) -> None:
    opened = 'fleet.connect("127.0.0.1:7400")'
    assert BLOCKS[0].count(opened) == 1
    source = BLOCKS[0].replace(opened, f"fleet.connect({node.address!r}, secret={SECRET!r})")
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        for block in (source, *BLOCKS[1:]):
            exec(compile(block, "recipes.md", "exec"), names)
    finally:
        names["f"].close()
    told = capsys.readouterr().out
    assert re.search(r"token \d+\nothers held 'report' for 0.2 s", told)
    assert re.search(r"^token \d+ is older than \d+$", told, re.M)
    assert "2 hold it\n['10.0.0.5:8080']\n" in told
    term = re.search(r"^leader: \((\d+), 'host-7'\)$", told, re.M)
    assert term is not None and f"leads in term {term[1]}\n" in told
    assert told.count("sends ada attempt 1\n") == 2 and "sends ida" not in told
    assert "[(Email(to='nobody'), 'ValueError: no such address')]\n" in told
    assert "JobQueue.put: payload must be __main__.Email, not 'ada' (str)" in told
    assert "all passed at revision " in told and "6 ['visits']\n" in told


def test_each_recipe_has_an_example() -> None:
    names = {name: getattr(recipes, name) for name in recipes.__all__}
    data_classes = {
        name for name, one in names.items() if isinstance(one, type) and issubclass(one, fleet.Data)
    }
    headings = set(re.findall(r"^## (\w+)$", TEXT, re.M))
    assert data_classes == headings - {"asyncio"}
    assert data_classes == set(re.findall(r"^\| `(\w+)` \|", TEXT, re.M))
