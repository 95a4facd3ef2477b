"""The code of the modules that have defined data classes."""

import sys
from types import CodeType, FrameType
from weakref import WeakKeyDictionary

_codes: WeakKeyDictionary[type, CodeType] = WeakKeyDictionary()


def remember_code(cls: type) -> None:
    """To be called while the class statement is executed: no module keeps its code when it is imported."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == cls.__module__:
            _codes[cls] = frame.f_code
            return
        frame = frame.f_back


def code_of(cls: type) -> CodeType | None:
    """None: it was made later, or somewhere else."""
    return _codes.get(cls)
