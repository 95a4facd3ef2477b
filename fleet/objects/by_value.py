"""Classes and functions that travel by value, as cloudpickle encodes them.

Cloudpickle gives each class an id, at random in each run of a script, and a process that knows the id takes
the class that it has. Here a class that stands under its name in a script, or in a module that is registered
to travel by value, gets an id made of its name and a digest of its code. The next run gives it the same one:
what the first run has put into an object is equal to what the second one compares it with.

A class that a process has stays as it is: its id says what its code is. Cloudpickle would set its attributes
again with each value, which changes the caller's own class, and that of an object on one member by a query.
"""

import inspect
import io
import pickle
import re
import sys
from functools import partial
from typing import Any, cast
from weakref import WeakSet

import cloudpickle
import msgspec
from cloudpickle import cloudpickle as cloud

from fleet.objects.code_digest import digest_of

PROTOCOL = 5
_LASTING = re.compile(r"fleet:([\w.]+):([\w.]+):([0-9a-f]{32})")
_CLASS = b"_make_skeleton_"
"""In every pickle that brings a class by value."""
_find_class = re.compile(_CLASS).search
_STRUCT_CONFIG = (
    *("frozen", "eq", "order", "array_like", "gc", "repr_omit_defaults", "omit_defaults", "tag", "tag_field"),
    *("forbid_unknown_fields", "weakref", "dict", "cache_hash"),
)
_StructMeta = cast(Any, type(msgspec.Struct))
_Field = type(msgspec.field())
_Factory = type(msgspec.defstruct("_", [("_", list, [])]).__struct_defaults__[0])
_complete: "WeakSet[type]" = WeakSet()
"""Classes with a lasting id that have all their attributes."""


def dumps(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, PROTOCOL).dump(value)
    return buffer.getvalue()


def brings_class(data: bytes) -> bool:
    """Whether the pickle brings a class by value."""
    return _CLASS in data


def loads(data: bytes | memoryview) -> Any:
    if _CLASS in data if type(data) is bytes else _find_class(data):
        return _Unpickler(io.BytesIO(data)).load()
    return pickle.loads(data)


# -- lasting ids --------------------------------------------------------------------------------------------


def _name(cls: type) -> None:
    """Give it its lasting id, each time that it is sent: what it names may have changed meanwhile. Local
    classes have none: many may have one name."""
    if _standing(cls.__module__, cls.__qualname__) is not cls:
        return
    try:
        lasting = f"fleet:{cls.__module__}:{cls.__qualname__}:{digest_of(cls)}"
    except Exception:  # of somebody's descriptor, say, or there is too much: it keeps an id at random
        return
    if _LASTING.fullmatch(lasting):
        with cloud._DYNAMIC_CLASS_TRACKER_LOCK:
            cloud._DYNAMIC_CLASS_TRACKER_BY_CLASS[cls] = lasting
            cloud._DYNAMIC_CLASS_TRACKER_BY_ID[lasting] = cls
        _complete.add(cls)


def _standing(module: str, name: str) -> Any:
    """What stands under this name in a module that travels by value, or None."""
    if module != "__main__" and module not in cloudpickle.list_registry_pickle_by_value():
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _known(class_id: str | None) -> type | None:
    """The class of this id that this process has; also one that was not sent yet in this run, or that was
    defined again since."""
    match = _LASTING.fullmatch(class_id or "")
    if match is not None:
        found = _standing(match[1], match[2])
        if isinstance(found, type) and cloud._DYNAMIC_CLASS_TRACKER_BY_ID.get(class_id) is not found:
            _name(found)
    known: type | None = cloud._DYNAMIC_CLASS_TRACKER_BY_ID.get(class_id)
    return known


# -- to bytes, and back -----------------------------------------------------------------------------------


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type):
            return self._reduced_class(value)
        if type(value) is _Field:
            return partial(msgspec.field, default_factory=value.default_factory), ()
        return super().reducer_override(value)

    def _reduced_class(self, cls: type) -> Any:
        _name(cls)
        reduced = super().reducer_override(cls)
        is_by_value = type(reduced) is tuple and reduced[0] is cloud._make_skeleton_class
        return _reduced_struct(cls, reduced) if is_by_value and isinstance(cls, _StructMeta) else reduced


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        return _INSTEAD.get(name, found) if module == cloud.__name__ else found


def _skeleton_class(*args: Any) -> Any:
    return _known(args[4]) or cloud._make_skeleton_class(*args)


def _skeleton_enum(*args: Any) -> Any:
    return _known(args[5]) or cloud._make_skeleton_enum(*args)


def _complete_class(cls: type, state: Any) -> type:
    if cls not in _complete:
        cloud._class_setstate(cls, state)
        if cloud._DYNAMIC_CLASS_TRACKER_BY_CLASS.get(cls, "").startswith("fleet:"):
            _complete.add(cls)
    return cls


_INSTEAD = {
    "_make_skeleton_class": _skeleton_class,
    "_make_skeleton_enum": _skeleton_enum,
    "_class_setstate": _complete_class,
}


# -- Structs ------------------------------------------------------------------------------------------------


def _reduced_struct(cls: Any, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """A Struct is made with its fields and settings. The types of the fields are looked up when they are
    needed: they come later, and may name the class itself."""
    make, (_, name, bases, _, class_id, extra), (attributes, slots), *rest = reduced
    parameters = inspect.signature(cls).parameters
    fields, defaults = cls.__struct_fields__, cls.__struct_defaults__
    own = [field for field in fields if field in vars(cls).get("__annotations__", {})]
    first: dict[str, Any] = dict(zip(fields[len(fields) - len(defaults) :], defaults, strict=True))
    config = {key: getattr(cls.__struct_config__, key) for key in _STRUCT_CONFIG}
    config["kw_only"] = any(parameters[field].kind is inspect.Parameter.KEYWORD_ONLY for field in own)
    config["rename"] = dict(zip(fields, cls.__struct_encode_fields__, strict=True))
    space = {"__module__": cls.__module__, "__annotations__": dict.fromkeys(own, "object")}
    if "__post_init__" in vars(cls):
        space["__post_init__"] = vars(cls)["__post_init__"]
    for field in own:
        if first.get(field, msgspec.NODEFAULT) is not msgspec.NODEFAULT:
            space[field] = _default(first[field])
    attributes = {key: value for key, value in attributes.items() if key != "__slots__"}
    made = (partial(_StructMeta, **config), name, bases, space, class_id, extra)
    return make, made, (attributes, slots), *rest


def _default(value: Any) -> Any:
    return msgspec.field(default_factory=value.factory) if type(value) is _Factory else value
