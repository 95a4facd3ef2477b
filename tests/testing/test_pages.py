"""The examples on the pages about reminders and hooks do what the pages say."""

import re
from pathlib import Path
from types import ModuleType

import pytest

import fleet
from fleet.testing import Sim
from tests.support.modules import Modules, modules

__all__ = ["modules"]

DOCS = Path(fleet.__file__).parent / "docs"


def example(modules: Modules, page: str) -> ModuleType:
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    return modules.load(**{Path(page).stem + "_page": "\n\n".join(blocks)})


def test_the_example_of_reminders_runs_as_written(modules: Modules) -> None:
    assert hasattr(example(modules, "reminders.md"), "seats")


@pytest.mark.parametrize("seed", [1, 2])
def test_the_example_of_effects_does_what_the_page_says(modules: Modules, seed: int) -> None:
    page = example(modules, "hooks.md")
    sim = Sim(seed=seed)
    bills = sim.group("bills", page.Bills)
    for number in "abc":
        bills.add(number, 100)
    bills.pay("b")
    leader = sim.leader("bills")
    assert leader is not None
    sim.kill(leader)
    bills.pay("a")
    sim.run("10s")
    assert list(dict.fromkeys(page.sent)) == [(id, 100) for id, _ in dict.fromkeys(page.sent)]
    assert len({id for id, _ in page.sent}) == 2
