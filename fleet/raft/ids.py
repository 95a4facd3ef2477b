"""Identifiers and numbers: plain values with types of their own for the checker."""

from typing import Annotated, NewType, TypeAlias

from msgspec import Meta

NodeName = NewType("NodeName", str)
GroupName = NewType("GroupName", str)

MemberId = NewType("MemberId", str)
"""`node@disk.life`: one replica on one disk. Never reused: a wiped disk is another disk, and a group that
returns to a node gets another life there."""

Term: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 62)]
Index: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 62)]
"""A position in a group's log, from 1. 0 is the empty log before the first entry."""
Place: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 62)]
"""Of a command among those of its entry, from 0."""
Revision: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 62)]
"""How many commands, and changes of members and settings, have taken effect in a group; of one, with it."""
Millis: TypeAlias = Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]
SessionId: TypeAlias = Annotated[int, Meta(ge=0)]
"""Made from the group and the log index at which the session was opened; 0 is no session."""


def member_id(node: str, disk: str, life: int | str) -> MemberId:
    return MemberId(f"{node}@{disk}.{life}")


def disk_of(member: MemberId) -> str:
    return member.rpartition("@")[2].partition(".")[0]


def node_of(member: MemberId) -> NodeName:
    return NodeName(member.rpartition("@")[0])
