"""What clients of one group called under keys of their own: each was executed once, and all are told that."""

from typing import Any

from msgspec import UNSET, Struct

from fleet.sim.checks.history import RecordedCall


class KeyUse(Struct, eq=False):
    """A key, and the command that all calls with it are."""

    key: str
    method: str
    args: tuple[Any, ...]
    call: RecordedCall
    """It stands for all of them: from the first call on, until one of them is answered."""
    told: Any = UNSET
    """The answer and its revision, once a client was told."""
    under_way: int = 0
    """Calls with that key."""
    is_unsure: bool = False
    """Whether one of them may have been executed, or may still be."""

    def objection(self, answer: Any, revision: int) -> str:
        """To what a client is told; "" if there is none."""
        if self.told in (UNSET, (answer, revision)):
            return ""
        was, then = self.told
        return f"key {self.key} was executed twice: {was!r} at {then}, and {answer!r} at {revision}"


class Keys:
    """Of one group."""

    def __init__(self) -> None:
        self.uses: list[KeyUse] = []

    def begin(self, key: str, method: str, args: tuple[Any, ...], call: RecordedCall) -> KeyUse:
        use = KeyUse(key, method, args, call)
        self.uses.append(use)
        return use

    def end(self, use: KeyUse) -> bool:
        """One of its calls has ended. True: they all have, and none was executed nor will be; the key is not
        used again."""
        use.under_way -= 1
        is_void = not (use.under_way or use.is_unsure) and use.told is UNSET
        if is_void:
            self.uses.remove(use)
        return is_void
