"""Hooks that get the state before and after each command, on whole simulated nodes."""

from typing import Any

import pytest

import fleet
from fleet.testing import Sim
from tests.sim.scenes import config, leader_of

CHANGES: list[tuple[str, Any, list[int], list[int]]] = []


class SheetHooks(fleet.LeaderHooks["Sheet"]):
    def on_changed(self, event: fleet.Committed, before: "Sheet", after: "Sheet") -> None:
        CHANGES.append((event.method, event.args, list(before.cells), after.cells))
        before.cells.clear()  # a private copy


class Sheet(fleet.Data, hooks=SheetHooks):
    cells: list[int] = []

    @fleet.command
    def put(self, n: int) -> None:
        if n < 0:
            raise fleet.Reject(n)
        self.cells.append(n)
        if n == 13:
            raise ValueError(n)

    @fleet.command
    def look(self) -> int:
        return len(self.cells)

    @fleet.command
    def later(self, n: int) -> None:
        fleet.ctx.remind("put", n, after=1)

    @fleet.reminder("put")
    def _put(self, n: int) -> None:
        self.cells.append(n)


@pytest.mark.parametrize("executors", [0, 1])
def test_each_change_is_told_with_the_states_around_it_by_one_leader_after_the_other(executors: int) -> None:
    CHANGES.clear()
    sim = Sim(seed=1, nodes=3, executors=executors, strict=False)
    sheet = sim.group("g", Sheet, config=config())
    replies: list[Any] = [sheet.put.submit(n) for n in (1, -1, 2, 13, 3)]
    replies.append(sheet.look.submit())
    sim.run("2s")
    assert all(reply.done() for reply in replies) and replies[-1].result() == 3
    assert CHANGES == [
        ("put", (1,), [], [1]),
        ("put", (2,), [1], [1, 2]),
        ("put", (3,), [1, 2], [1, 2, 3]),
    ]
    CHANGES.clear()
    sim.kill(leader_of(sim))
    sheet.later(4)
    sim.run("5s")
    assert [(method, after) for method, _, _, after in CHANGES] == [("put", [1, 2, 3, 4])]
    sim.heal()
    assert sim.states_equal("g")
