"""Bugs about code of users' classes that changes."""

from unittest.mock import patch

from fleet.actors.executor import opened_class
from fleet.objects.applier import Applier
from fleet.raft import core, halting
from fleet.raft.ids import Index
from fleet.raft.state import LAST_INDEX, CoreState
from tests.sim.planted.patches import Patches


def other_code_is_executed() -> Patches:
    """A log is executed by whatever code of its class is there."""
    return [patch.object(opened_class, "check_code", lambda data_class, cls: None)]


def unused_objects_are_kept() -> Patches:
    """A snapshot holds the object of a group that has executed nothing, where its member has the code."""
    dump = Applier.dump

    def whole(self: Applier, version: int = 0) -> bytes:
        self.is_unused = False
        return dump(self, version)

    return [patch.object(Applier, "dump", whole)]


def switch_holds_nothing_back() -> Patches:
    """Commands behind a switch are executed by the class that the object has."""

    def nowhere(core: CoreState) -> Index:
        return LAST_INDEX

    return [patch.object(halting, "held_for_switch", nowhere), patch.object(core, "held_for_switch", nowhere)]
