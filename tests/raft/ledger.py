"""A data object for tests: an ordered list of every command that was executed."""

import msgspec

from fleet.interfaces import Context

FAIL = b"fail"


class Ledger:
    """Executing a command appends its payload and answers how long the list has become."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def apply(self, context: Context, payload: bytes) -> tuple[bytes, bool]:
        self.lines.append(payload)
        if payload.startswith(FAIL):
            return b"failed", False
        return b"%d" % len(self.lines), True

    def check(self, payload: bytes) -> str | None:
        return None

    def query(self, payload: bytes) -> tuple[bytes, bool]:
        if payload == FAIL:
            self.lines.append(payload)
            return b"failed", False
        return b"%d" % len(self.lines), True

    def dump(self) -> bytes:
        return msgspec.msgpack.encode(self.lines)

    def load(self, state: bytes | None) -> None:
        self.lines = [] if state is None else msgspec.msgpack.decode(state, type=list[bytes])

    def trouble(self) -> None:
        return None
