"""The applied state of a member, wherever its object lives."""

from typing import Any

from fleet.objects.applier import Applier


def applier_of(member: Any) -> Applier | None:
    """None while its object is not open, or where users' code never returned."""
    number, objects = member.start.record.number, member.hosted
    if objects is None:
        executors = member._myRef.kernel.instance(member.start.executors)
        channel = executors and executors.channel_of(number)
        objects = None if channel is None or channel.has_stopped else channel.objects
    hosted = objects and objects.objects.get(number)
    return hosted.applier if hosted else None
