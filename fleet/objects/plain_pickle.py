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
_STOP: Final = ord(pickle.STOP)
_BEGINS: Final = tuple(pickle.PROTO + bytes((protocol,)) for protocol in (4, 5))


def is_plain(data: bytes) -> bool:
    """About 0.1 us an operation; a call with a number and a short text has twelve."""
    if data[:2] not in _BEGINS:
        return False
    at, end = 2, len(data)
    fixed, counted = _fixed.get, _counted.get
    while at < end:
        operation = data[at]
        at += 1
        size = fixed(operation)
        if size is None:
            size = counted(operation)
            if size is None:
                return operation == _STOP and at == end
            size, at = int.from_bytes(data[at : at + size], "little"), at + size
        at += size
    return False
