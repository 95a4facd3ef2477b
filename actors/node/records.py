"""A node's own records beside the members' data."""

from typing import Any

import msgspec
from msgspec import Struct

from fleet.actors.runtime.actor import log
from fleet.errors import Damaged, StorageFault
from fleet.interfaces import Durable
from fleet.raft.ids import Millis, NodeName

BOOT_KEY = "boot"
RECOVERIES_KEY = "recoveries"


class AppliedRecovery(Struct, frozen=True, array_like=True):
    """`fleet recover` has changed the directory."""

    plan: str
    """The id of its plan."""
    former: int
    """The uid of the cluster before."""
    wall_ms: Millis
    lost: tuple[str, ...]
    """`node@incarnation` of the nodes that were given up."""


def read_record(data: bytes, kind: Any, place: str, **facts: Any) -> Any:
    """Decode a record.

    Raises:
        Damaged: the bytes have a valid checksum but are no `kind`.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(f"the record cannot be read: {error}", **facts, place=place) from error


def applied_recoveries(store: Durable) -> list[AppliedRecovery]:
    """In their order. Raises Damaged."""
    data = store.get_meta(RECOVERIES_KEY)
    found: list[AppliedRecovery] = read_record(data, list[AppliedRecovery], RECOVERIES_KEY) if data else []
    return found


def given_up_disks(store: Durable) -> frozenset[str]:
    """`node@incarnation` of the nodes that recoveries gave up. Raises Damaged."""
    return frozenset(disk for one in applied_recoveries(store) for disk in one.lost)


def count_boot(store: Durable, node: NodeName) -> int:
    """Count this start of the disk, durably: no message leaves before. Blocks, since the node has not started
    yet.

    Returns 0 if the count cannot be written: the next start would get the same number.
    """
    data = store.get_meta(BOOT_KEY)
    boot = 1 + (int(read_record(data, int, BOOT_KEY)) if data else 0)
    try:
        store.put_meta(BOOT_KEY, msgspec.msgpack.encode(boot))
    except StorageFault as error:
        log.error("node=%s cannot count this start: %s", node, error)
        return 0
    return boot
