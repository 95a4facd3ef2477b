"""The names of things: plain values with their own types for the checker."""

from typing import Annotated, NewType, TypeAlias

from msgspec import Meta

NodeName = NewType("NodeName", str)
GroupName = NewType("GroupName", str)

MemberId = NewType("MemberId", str)
"""`node@disk.life`: one replica's life on one disk. Never reused: not after a wipe (another
disk), not when a group comes back to a node that it had left (another life)."""

Term: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 62)]
Index: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 62)]
"""A position in a group's log, from 1. 0 is the empty log before the first entry."""
Millis: TypeAlias = Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]
SessionId: TypeAlias = Annotated[int, Meta(ge=0)]
"""Made from the log index at which the session was opened, and from what group; 0 is no session."""


def member_id(node: str, disk: str, life: int | str) -> MemberId:
    return MemberId(f"{node}@{disk}.{life}")


def disk_of(member: MemberId) -> str:
    return member.rpartition("@")[2].partition(".")[0]


def node_of(member: MemberId) -> NodeName:
    return NodeName(member.rpartition("@")[0])
