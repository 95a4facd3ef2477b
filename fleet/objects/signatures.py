"""Whether a call fits the class: its method, and the arguments of that."""

import inspect
from typing import Any

from fleet.errors import BadArguments
from fleet.objects.declare import Shape
from fleet.objects.described import is_in_call
from fleet.objects.handles import Function
from fleet.objects.methods import MethodKind
from fleet.objects.payload import Codec

DECODED_MAX = 4096
DECODED_BYTES_MAX = 1024
"""The calls of so many payloads, up to this size, are kept from their check until they are executed."""

Call = tuple[str, tuple[Any, ...], dict[str, Any]]


class CheckedCalls:
    """Decodes a command once on its leader, where it is checked before it is proposed and executed later."""

    def __init__(self, shape: Shape, codec: Codec) -> None:
        self._shape = shape
        self._decode_call = codec.decode_call
        self._counts: dict[str, range] = {}
        self._decoded: dict[int, tuple[bytes, Call]] = {}
        """By the identity of the payload, which is kept beside the call so that no other has it."""

    def check(self, payload: bytes) -> str | None:
        """Why the command cannot be executed, or None."""
        try:
            call = method, args, kwargs = self._decode_call(payload)
        except BadArguments as error:
            return error.what
        function = self._shape.commands.get(method)
        if function is None:
            return no_such(self._shape, "command", method)
        counts = self._counts.get(method)
        if counts is None:
            counts = self._counts[method] = positional_counts(function)
        if len(args) not in counts or kwargs:  # else the common case, without the 2 us of a whole binding
            why = unbindable(method, inspect.signature(function, follow_wrapped=False), args, kwargs)
            if why is not None:
                return why
        if len(payload) <= DECODED_BYTES_MAX:
            if len(self._decoded) >= DECODED_MAX:
                self._decoded.clear()  # of proposals that came to nothing
            self._decoded[id(payload)] = payload, call
        return None

    def take(self, payload: bytes) -> Call:
        """The call, for good: its arguments become the object's own. Raises BadArguments."""
        decoded = self._decoded.pop(id(payload), None)
        return decoded[1] if decoded is not None and decoded[0] is payload else self._decode_call(payload)


def no_such(shape: Shape, kind: MethodKind, method: str) -> str:
    by_kind = {"command": shape.commands, "query": shape.queries, "reminder": shape.reminders}
    name, methods = shape.name, by_kind[kind]
    if any(method in known for known in by_kind.values()):
        return f"{name}.{method} is not a {kind}"
    return f"{name} has no {kind} {method!r}; it has: {', '.join(sorted(methods)) or 'none'}"


def misfit_of(
    error: BaseException, method: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str | None:
    """What is wrong with the arguments, if they are why it raised."""
    if type(error) is not TypeError or not is_in_call(error):
        return None
    return unbindable(method, inspect.signature(function), args, kwargs)


def unbindable(
    method: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str | None:
    try:
        signature.bind(None, *args, **kwargs)
    except TypeError as misfit:
        taken = ", ".join(list(map(str, signature.parameters.values()))[1:])
        return f"{method}({taken}): {misfit}"
    return None


def positional_counts(function: Function) -> range:
    """The numbers of positional arguments, without `self`, that certainly fit."""
    parameters = list(inspect.signature(function, follow_wrapped=False).parameters.values())[1:]
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return range(0)
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return range(sum(p.default is p.empty for p in places), len(places) + 1)
