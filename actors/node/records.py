"""What a node keeps of its own beside the members' data: read as what it is, or refused by name."""

from typing import Any

import msgspec

from fleet.errors import Damaged


def read_fact(data: bytes, kind: Any, place: str, **facts: Any) -> Any:
    """Raises Damaged: bytes that passed their checksum are none of the kind."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(f"the record cannot be read: {error}", **facts, place=place) from error
