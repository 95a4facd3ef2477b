"""Bugs about code of users' classes that changes."""

from typing import Any
from unittest.mock import patch

from fleet.actors.executor import hosted_object
from fleet.actors.member.member_object import MemberObject
from fleet.raft import core, halting
from fleet.raft.ids import Index
from fleet.raft.state import LAST_INDEX, CoreState
from tests.sim.planted.patches import Patches


def other_code_is_executed() -> Patches:
    """A log is executed by whatever code of its class is there."""
    return [patch.object(hosted_object, "check_code", lambda data_class, cls: None)]


def switch_holds_nothing_back() -> Patches:
    """Commands behind a switch are executed by the class that the object has."""

    def nowhere(core: CoreState) -> Index:
        return LAST_INDEX

    return [patch.object(halting, "held_for_switch", nowhere), patch.object(core, "held_for_switch", nowhere)]


def snapshot_names_the_newest_class() -> Patches:
    """A snapshot is said to be of the class that its group changes to behind it."""

    def newest(core: CoreState, index: Index) -> bytes:
        if core.switches:
            return getattr(core.switches[-1].body, "data_class")  # type: ignore[no-any-return]
        return core.snapshot.data_class if core.snapshot is not None else core.first_class

    return [patch.object(core, "class_at", newest)]


def snapshot_of_a_switch_names_the_former_class() -> Patches:
    """The state that a switch leaves behind is taken for one of the class before it."""

    def former(core: CoreState, index: Index) -> bytes:
        return core.snapshot.data_class if core.snapshot is not None else core.first_class

    return [patch.object(core, "class_at", former)]


def first_entry_names_no_class() -> Patches:
    """A new member executes its group's log with the class that is in force now."""
    apply = MemberObject.apply

    def applied(self: MemberObject, entries: Any) -> None:
        with patch.object(MemberObject, "switch", lambda self, data_class: False):
            apply(self, entries)

    return [patch.object(MemberObject, "apply", applied)]
