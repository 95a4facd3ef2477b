"""The encoding of a group's calls, by what is known without its class."""

from collections.abc import Iterable

from fleet.cluster.commands import Cluster
from fleet.cluster.state import CLUSTER_GROUP, GroupInfo
from fleet.objects.class_refs import is_typed
from fleet.objects.keyed import EncodeCall
from fleet.objects.payload import PICKLED, Codec
from fleet.objects.typed import encode_typed_call


def codec_of(group: str) -> Codec:
    """By the group's name alone: it may have a class with `codec="msgspec"`, which takes no pickles."""
    return Cluster.__fleet_codec__ if group == CLUSTER_GROUP else PICKLED


def encoder_for(group: str, groups: Iterable[GroupInfo]) -> EncodeCall:
    """What encodes calls of a group. `groups`: those of the cluster."""
    if any(info.name == group and is_typed(info.data_class) for info in groups):
        return encode_typed_call
    return codec_of(group).encode_call
