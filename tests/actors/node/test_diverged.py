"""A node remembers which of its members have halted since their states differ."""

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.node.diverged import DIVERGED_KEY, DivergedMembers
from fleet.interfaces import PutMeta
from fleet.raft.entries import Halt
from fleet.raft.messages import DIVERGED, REPAIRING
from fleet.storage.memory_store import MemoryStore
from fleet.storage.writer import carry_out


class Node:
    def __init__(self) -> None:
        self.store = MemoryStore("c", "n1")
        self.written = 0

    def carry_out(self, chore: PutMeta) -> None:
        self.written += 1
        carry_out(self.store, chore)

    def restarted(self) -> DivergedMembers:
        node: Any = self
        members = DivergedMembers(node)
        members.load()
        return members


def hosted(halt: Halt | None) -> Any:
    return SimpleNamespace(record=SimpleNamespace(number=7), halt=halt)


@pytest.mark.parametrize("place", [DIVERGED, REPAIRING])
def test_a_member_halts_again_that_has_no_newer_snapshot_than_when_it_halted(place: int) -> None:
    node, differs = Node(), hosted(Halt(24, place, "it differs"))
    node.restarted().note(differs, 32)
    members = node.restarted()
    assert members.at(differs) == 33
    members.note(differs, 40)
    assert node.restarted().at(differs) == 33 and node.written == 1, "what it is told later is its leader's"


@pytest.mark.parametrize("halt", [None, Halt(24, 0, "it hangs")])
def test_one_that_has_another_state_by_now_or_halts_at_a_command_does_not(halt: Halt | None) -> None:
    node, differs = Node(), hosted(Halt(24, DIVERGED, "it differs"))
    members = node.restarted()
    members.note(differs, 0)
    assert node.restarted().at(differs) == 1
    members.note(hosted(halt), 0)
    members.note(hosted(halt), 0)
    assert node.restarted().at(differs) == 0 and node.written == 2
    assert DIVERGED_KEY == "diverged", "data directories have it"
