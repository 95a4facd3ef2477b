"""What several messages hold: bounded names and counts, nodes, groups, errors."""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from fleet.actors.base.addresses import ENDPOINT_BYTES_MAX
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import MemberId, Millis, NodeName

Name: TypeAlias = Annotated[str, Meta(max_length=1024)]
"""Of a node, a group, a member, a client."""
Where: TypeAlias = Annotated[str, Meta(max_length=ENDPOINT_BYTES_MAX)]
"""host:port where a node listens, or ""."""
Count: TypeAlias = Annotated[int, Meta(ge=0)]
KNOWN_MAX = 10_000
"""Nodes that one message tells of."""
CALLS_MAX = 65_536
"""Commands or queries of one message."""


class NodeInfo(Struct, frozen=True, array_like=True):
    """A node as another one knows it."""

    name: Annotated[NodeName, Meta(max_length=1024)]
    address: Where
    """host:port where it listens, or "" on a base without such addresses."""
    zone: Name
    incarnation: Name
    started_ms: Millis
    """Wall clock of its start: the newest says where it is now."""
    boot: int = 0
    """How often this disk was started, this time included: an older copy of it counts less (S83)."""


class GroupSpec(Struct, frozen=True, array_like=True):
    """What a node must know to host a member."""

    name: Name
    data_class: bytes
    """As `fleet.objects.payload.encode_class` wrote it."""
    config: GroupConfig
    uid: Count
    """Tells this group from every other one of the name."""
    member: MemberId = MemberId("")
    """This member, where it was named in advance; else its name is made from its number in the store."""
    founded: Founded | None = None
    """Not None: it is one of the members that the group begins with."""
    cluster: Count = 0
    """The uid of the cluster group that knows this one: no other cluster may say that it was removed."""
