"""A data class with every way to go wrong, and one who calls it without a group."""

from collections.abc import Callable
from typing import Any

from fleet.errors import Reject
from fleet.interfaces import Context
from fleet.objects.declare import Data, command, query
from fleet.objects.executor import ObjectExecutor
from fleet.objects.payload import decode_result, encode_call

CONTEXT = Context(revision=9, now_ms=5000, session=2, seq=1, client="c1")


class Box(Data):
    """Has every way to go wrong."""

    items: dict[str, Any] = {}
    ballast: bytes = b""
    count: int = 0

    @command
    def put(self, key: str, value: Any = None, *, refuse: bool = False) -> int:
        if refuse:
            raise Reject({"taken": key})
        self.items[key] = value
        self.count += 1
        return self.count

    @command
    def load_with(self, size: int) -> None:
        self.ballast = bytes(size)

    @command
    def run(self, how: Callable[["Box"], Any]) -> Any:
        return how(self)

    @query
    def get(self, key: str) -> Any:
        return self.items[key]

    @query
    def ask(self, how: Callable[["Box"], Any]) -> Any:
        return how(self)

    def helper(self) -> None: ...


class Caller:
    """Calls an executor and decodes; keeps `clean` of the last call."""

    def __init__(self, cls: type = Box) -> None:
        self.executor = ObjectExecutor(cls)
        self.clean = True

    def apply(self, method: str, *args: Any, **kwargs: Any) -> Any:
        (result,), self.clean = self.executor.apply(CONTEXT, (encode_call(method, args, kwargs),))
        return decode_result(result)

    def query(self, method: str, *args: Any, **kwargs: Any) -> Any:
        (result,), self.clean = self.executor.query((encode_call(method, args, kwargs),))
        return decode_result(result)


def raise_(error: BaseException) -> Any:
    raise error
