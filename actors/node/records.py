"""What a node keeps of its own beside the members' data: read as what it is, or refused by name."""

from typing import Any

import msgspec

from fleet.actors.runtime.actor import log
from fleet.errors import Damaged, StorageFault
from fleet.interfaces import Durable
from fleet.raft.ids import NodeName

BOOT_KEY = "boot"


def read_fact(data: bytes, kind: Any, place: str, **facts: Any) -> Any:
    """Raises Damaged: bytes that passed their checksum are none of the kind."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(f"the record cannot be read: {error}", **facts, place=place) from error


def count_boot(store: Durable, node: NodeName) -> int:
    """One more than the last time, on disk before anything leaves this node: it waits for that, as it serves
    nobody yet. 0 where it cannot be counted: the next start would have the same number."""
    data = store.get_meta(BOOT_KEY)
    boot = 1 + (int(read_fact(data, int, BOOT_KEY)) if data else 0)
    try:
        store.put_meta(BOOT_KEY, msgspec.msgpack.encode(boot))
    except StorageFault as error:
        log.error("node=%s cannot count its start: %s", node, error)
        return 0
    return boot
