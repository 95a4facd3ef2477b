"""The object of a member that lives in the member's own process."""

from typing import Any

from fleet.actors.executor.hosted_object import HostedObject
from fleet.interfaces import Dump
from fleet.objects.applier import Applier


def hosted_of(member: Any) -> HostedObject:
    hosted: HostedObject
    (hosted,) = member.hosted.objects.values()
    return hosted


def applier_of(member: Any) -> Applier:
    return hosted_of(member).applier


def dump_of(member: Any) -> Dump | None:
    """What a child encodes now."""
    dumping = hosted_of(member).dumps.under_way
    return dumping[2] if dumping is not None else None
