"""The encoding of a group's calls, by the group's name alone."""

from fleet.cluster.commands import Cluster
from fleet.cluster.state import CLUSTER_GROUP
from fleet.objects.payload import PICKLED, Codec


def codec_of(group: str) -> Codec:
    return Cluster.__fleet_codec__ if group == CLUSTER_GROUP else PICKLED
