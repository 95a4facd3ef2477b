"""The wall clock time that a leader stamps its entries with."""

from typing import Protocol

from fleet.actors.messages.local import StartMember
from fleet.actors.messages.values import GroupSpec
from fleet.actors.runtime.actor import log
from fleet.raft.core import Core
from fleet.raft.ids import Millis


class StampingMember(Protocol):
    core: Core
    start: StartMember
    spec: GroupSpec


class Stamps:
    def __init__(self, member: StampingMember) -> None:
        self.member = member
        self.clock_is_off = False

    def now_ms(self) -> Millis:
        """By this node's clock, or by those of the other voters; warns once while these overrule it."""
        member, clock = self.member, self.member.start.clock
        own = clock.wall_ms()
        stamp_ms = member.core.stamp_ms(clock.now_ms(), own)
        is_off = stamp_ms != own
        if is_off and not self.clock_is_off:
            what = "group=%s the wall clock here is %d ms off those of the other voters: stamped with theirs"
            log.warning(what, member.spec.name, own - stamp_ms)
        self.clock_is_off = is_off
        return stamp_ms
