"""Whether a pickle holds plain values alone, so that loading it runs no code. Nothing is loaded to tell.

Plain are None, bool, numbers, texts, bytes, and tuples, lists, dicts and sets of plain values. Such a pickle
is a row of the operations below; each that names a class or a function, calls one, or sets an object's state
is none of them. What is not known to be harmless is refused, and so is an operation of a later protocol.
"""

import pickle
from typing import Final

_FIXED: Final = {
    pickle.FRAME: 8,
    pickle.BININT: 4,
    pickle.BININT1: 1,
    pickle.BININT2: 2,
    pickle.BINFLOAT: 8,
    pickle.BINGET: 1,
    pickle.LONG_BINGET: 4,
} | dict.fromkeys(
    (
        *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.MARK, pickle.MEMOIZE, pickle.EMPTY_TUPLE),
        *(pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.TUPLE, pickle.EMPTY_LIST, pickle.APPEND),
        *(pickle.APPENDS, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS, pickle.EMPTY_SET),
        *(pickle.ADDITEMS, pickle.FROZENSET),
    ),
    0,
)
"""Bytes after the operation."""
_COUNTED: Final = {
    pickle.LONG1: 1,
    pickle.LONG4: 4,
    pickle.SHORT_BINUNICODE: 1,
    pickle.BINUNICODE: 4,
    pickle.BINUNICODE8: 8,
    pickle.SHORT_BINBYTES: 1,
    pickle.BINBYTES: 4,
    pickle.BINBYTES8: 8,
    pickle.BYTEARRAY8: 8,
}
"""Bytes of the length, which comes first, of what follows the operation."""
_fixed = {ord(name): size for name, size in _FIXED.items()}
_counted = {ord(name): size for name, size in _COUNTED.items()}
_unmoved = frozenset(map(ord, (pickle.FRAME, pickle.MEMOIZE)))
"""These leave what is on top of the stack as it is."""
_gets = frozenset(map(ord, (pickle.BINGET, pickle.LONG_BINGET)))
_tuples = frozenset(
    map(
        ord, (pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.TUPLE, pickle.EMPTY_TUPLE, pickle.FROZENSET)
    )
)
_MEMOIZE: Final = ord(pickle.MEMOIZE)
_STOP: Final = ord(pickle.STOP)
_BEGINS: Final = tuple(pickle.PROTO + bytes((protocol,)) for protocol in (4, 5))
VALUES_MAX: Final = 100_000
"""What is plain has no more operations, nor values, where one that is shared counts wherever it is."""
_LEAF: Final = 0
_MUTABLE: Final = -1


def is_plain(data: bytes) -> bool:
    count = values_in(data)
    return count is not None and count <= VALUES_MAX


def values_in(data: bytes) -> int | None:
    """How many values a walk through it meets, at most: it may be far more than there are, with a tuple of
    twice the same tuple, and so on. More than VALUES_MAX: it is not looked at any further. None: it is not
    plain.

    About 0.2 us an operation; a call with a number and a short text has twelve.

    A tuple is complete when it can first be shared, and has no more in it than all that came before. A list
    can be shared first and filled later: then each value may be met twice as often with each one shared.
    """
    if data[:2] not in _BEGINS:
        return None
    at, end = 2, len(data)
    fixed, counted = _fixed.get, _counted.get
    operations, limit, last = 0, VALUES_MAX, _STOP
    memo: list[int] = []
    repeated = shared = 0
    has_shared_mutable = False
    while at < end:
        operation = data[at]
        at += 1
        operations += 1
        if operations > limit:
            return VALUES_MAX + 1
        size = fixed(operation)
        if size is None:
            size = counted(operation)
            if size is None:
                return operations + repeated if operation == _STOP and at == end else None
            size, at = int.from_bytes(data[at : at + size], "little"), at + size
        elif operation == _MEMOIZE:
            is_leaf = last in _counted
            memo.append(_LEAF if is_leaf else operations + repeated if last in _tuples else _MUTABLE)
        elif operation in _gets:
            place = int.from_bytes(data[at : at + size], "little")
            if place >= len(memo):
                return None
            known = memo[place]
            if known != _LEAF:
                shared += 1
                has_shared_mutable = has_shared_mutable or known == _MUTABLE
                repeated += max(known, 0)
                limit = VALUES_MAX >> shared if has_shared_mutable else VALUES_MAX - repeated
        if operation not in _unmoved:
            last = operation
        at += size
    return None
