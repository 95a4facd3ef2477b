"""Types that several messages share: bounded names and counts, nodes, groups, errors."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from fleet.actors.base.addresses import ENDPOINT_BYTES_MAX
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import MemberId, Millis, NodeName
from fleet.versions import FIRST_BUILD, Build

Name: TypeAlias = Annotated[str, Meta(max_length=1024)]
"""Of a node, a group, a member, a client."""
Where: TypeAlias = Annotated[str, Meta(max_length=ENDPOINT_BYTES_MAX)]
"""host:port where a node listens, or ""."""
Count: TypeAlias = Annotated[int, Meta(ge=0)]
KNOWN_MAX = 10_000
"""Nodes that one message tells of."""
CALLS_MAX = 65_536
"""Commands or queries of one message; mails of members."""


class NodeInfo(Struct, frozen=True, array_like=True):
    """A node, as it announces itself."""

    name: Annotated[NodeName, Meta(max_length=1024)]
    address: Where
    """host:port where it listens, or "" on a base without such addresses."""
    zone: Name
    incarnation: Name
    started_ms: Millis
    """Wall clock of its start, in milliseconds: the newest announcement counts."""
    boot: int = 0
    """How often this disk was started, including this time: lower on an older copy (S83)."""
    build: Build = FIRST_BUILD


class GroupSpec(Struct, frozen=True, array_like=True):
    """What a node needs to host a member."""

    name: Name
    data_class: bytes
    """As `fleet.objects.class_refs.encode_class` wrote it."""
    config: GroupConfig
    uid: Count
    """Distinguishes this group from all others of its name."""
    member: MemberId = MemberId("")
    """This member's id, if it was chosen in advance; otherwise made from its number in the store."""
    founded: Founded | None = None
    """For a founding member: the group's first entry."""
    cluster: Count = 0
    """The uid of the cluster that the group belongs to: no other cluster may report it as removed."""
    is_restored: bool = False
    """Its first founder waits for a backup's state, and the others for a leader: see `restoring.py`."""
    is_in_memory: bool = False
    """As in `GroupInfo`."""
