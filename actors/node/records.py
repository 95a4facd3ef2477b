"""A node's own records beside the members' data."""

from typing import Any

import msgspec
from msgspec import Struct

from fleet.actors.runtime.actor import log
from fleet.errors import Damaged, StorageFault, WrongDirectory
from fleet.interfaces import Durable
from fleet.raft.ids import Millis, NodeName

BOOT_KEY = "boot"
RECOVERIES_KEY = "recoveries"
BASE_KEY = "base"
FLEET_BASE, STOCK_BASE = "fleet", "multiprocTCPBase"


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


def check_base(store: Durable, base: str) -> None:
    """On Thespian's own base each member has a store of its own, which is noted in that of the node: on
    another base it would look empty, and break what it has promised.

    Raises:
        WrongDirectory: the members' data were written on another base.
        Damaged: what is noted cannot be read.
    """
    noted = store.get_meta(BASE_KEY)
    written: str = read_record(noted, str, BASE_KEY) if noted else FLEET_BASE
    if written != base and (noted or store.groups()):
        what = f"its members were written on --base {written}, which keeps them otherwise than --base {base}"
        raise WrongDirectory(what, node=store.identity.node)
    if written != base:
        store.put_meta(BASE_KEY, msgspec.msgpack.encode(base))


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
