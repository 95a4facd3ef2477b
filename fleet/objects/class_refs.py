"""A group's data class as bytes: by tag for the library's own, by reference or by value for users'."""

import pickle
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from fleet.blocking import importing
from fleet.errors import CallsAtImport, DataClassUnavailable, NotEncodable, OtherCode, WouldDeadlock
from fleet.objects.by_value import PROTOCOL, brings_class, dumps, loads
from fleet.objects.described import message_of
from fleet.objects.fingerprint import fingerprint_of, has_fingerprint
from fleet.objects.typed import NAME as TYPED_CODEC

_encode = msgspec.msgpack.Encoder().encode

BUILT_IN = {
    "fleet:cluster": ("fleet.cluster.commands", "Cluster"),
    "fleet:demo": ("fleet.cli.demo.data", "Counter"),
    "fleet:barriers": ("fleet.recipes.barriers", "Barriers"),
    "fleet:counters": ("fleet.recipes.counters", "Counters"),
    "fleet:elections": ("fleet.recipes.elections", "Elections"),
    "fleet:job-queue": ("fleet.recipes.job_queue", "JobQueue"),
    "fleet:kv": ("fleet.recipes.kv", "KV"),
    "fleet:leases": ("fleet.recipes.leases", "Leases"),
    "fleet:locks": ("fleet.recipes.locks", "Locks"),
    "fleet:limits": ("fleet.recipes.rate_limits", "RateLimits"),
    "fleet:semaphores": ("fleet.recipes.semaphores", "Semaphores"),
}
"""The library's own data classes: tag, current module, name. Disks hold the tag, for ever."""
_built_in_tags = {place: tag for tag, place in BUILT_IN.items()}


class BuiltIn(Struct, frozen=True, array_like=True, tag=0):
    """One of the library's own data classes as a node keeps it."""

    tag: str


class ClassRef(Struct, frozen=True, array_like=True, tag=1):
    """A user's data class as a node keeps it: its name for people, and the pickle that loads it."""

    name: str
    module: str
    pickled: bytes
    version: int = 1
    fingerprint: str = ""
    """Of its code, as who encoded it has it; "": not known."""


class TypedClassRef(ClassRef, frozen=True, array_like=True, tag=2):
    """One with `codec="msgspec"`, whose calls are no pickles."""


AnyClassRef: TypeAlias = BuiltIn | ClassRef | TypedClassRef
_read_class_ref: Callable[[bytes], AnyClassRef] = msgspec.msgpack.Decoder(AnyClassRef).decode


def encode_class(cls: type) -> bytes:
    """By tag for the library's own; by reference for importable modules; by value for `__main__`, local
    classes and modules registered with `cloudpickle.register_pickle_by_value`.
    """
    tag = _built_in_tags.get((cls.__module__, cls.__qualname__))
    if tag is not None:
        return _encode(BuiltIn(tag))
    try:
        pickled = dumps(cls)
    except MemoryError:
        raise
    except Exception as error:
        raise NotEncodable(
            f"the class {cls.__qualname__} cannot be sent by value: {message_of(error)}",
            module=cls.__module__,
        ) from error
    version, fingerprint = 1, ""
    if hasattr(cls, "__fleet_version__"):  # else it is refused where it is loaded
        version, fingerprint = cls.__fleet_version__, fingerprint_of(cls)
    is_typed = getattr(cls, "__fleet_codec_name__", "") == TYPED_CODEC
    kind = TypedClassRef if is_typed else ClassRef
    return _encode(kind(cls.__qualname__, cls.__module__, pickled, version, fingerprint))


def class_name(data: bytes) -> str:
    """Module and qualified name, or the tag, for people. Loads nothing."""
    ref = _class_ref(data)
    return ref.tag if isinstance(ref, BuiltIn) else f"{ref.module}.{ref.name}"


def is_built_in(data: bytes) -> bool:
    """Whether it is one of the library's own. Raises DataClassUnavailable for bytes that are no class."""
    return isinstance(_class_ref(data), BuiltIn)


def version_of(data: bytes) -> tuple[int, str]:
    """The class's version and the fingerprint of its code; 0 and "" for one of the library's own."""
    ref = _class_ref(data)
    return (0, "") if isinstance(ref, BuiltIn) else (ref.version, ref.fingerprint)


def is_typed(data: bytes) -> bool:
    """Whether its calls are no pickles, but typed. Loads nothing."""
    return isinstance(_class_ref(data), TypedClassRef)


def is_imported(data: bytes) -> bool:
    """Whether nodes import it, so that its code depends on what they have. Loads nothing."""
    ref = _class_ref(data)
    return isinstance(ref, ClassRef) and not brings_class(ref.pickled)


def module_of(data: bytes) -> str | None:
    """The module that nodes import for it, with nothing else in it that would run; "": it is one of the
    library's own. None: it brings code. Loads nothing.

    What loads a class is a pickle, and this is for those that somebody made who is not trusted: it must be
    the very one that names the class.
    """
    ref = _class_ref(data)
    if isinstance(ref, BuiltIn):
        return ""
    return ref.module if ref.pickled == _reference(ref.module, ref.name) else None


def _reference(module: str, name: str) -> bytes:
    """The pickle, as Python writes it, of what stands under this name in a module."""
    parts = b"".join(_text(text) + pickle.MEMOIZE for text in (module, name))
    body = parts + pickle.STACK_GLOBAL + pickle.MEMOIZE + pickle.STOP
    return pickle.PROTO + bytes((PROTOCOL,)) + pickle.FRAME + len(body).to_bytes(8, "little") + body


def _text(text: str) -> bytes:
    data = text.encode(errors="surrogatepass")
    if len(data) < 256:
        return pickle.SHORT_BINUNICODE + bytes((len(data),)) + data
    return pickle.BINUNICODE + len(data).to_bytes(4, "little") + data


def check_code(data: bytes, cls: type) -> None:
    """Raises OtherCode: what was imported here is not what `data` was made from."""
    ref = _class_ref(data)
    if isinstance(ref, BuiltIn) or not ref.fingerprint or brings_class(ref.pickled):
        return
    if not has_fingerprint(cls, ref.fingerprint):
        found = fingerprint_of(cls)
        here = getattr(cls, "__fleet_version__", 1)
        raise OtherCode(
            f"its commands were proposed under {ref.module}.{ref.name} of version {ref.version} "
            f"({ref.fingerprint[:12]}), and the code here is of version {here} ({found[:12]})"
        )


def decode_class(data: bytes) -> type:
    """Load the class. Raises DataClassUnavailable or CallsAtImport, with class and module."""
    ref = _class_ref(data)
    if isinstance(ref, BuiltIn):
        module, name = BUILT_IN.get(ref.tag, ("", ""))
        if not module:
            what = f"no built-in data class is called {ref.tag!r} here; is the node older than who sent it?"
            raise DataClassUnavailable(what, data_class=ref.tag)
        return _loaded_class(module, name, lambda: getattr(import_module(module), name))
    if ref.pickled == _reference(ref.module, ref.name):
        return _loaded_class(ref.module, ref.name, lambda: _standing(ref.module, ref.name))
    pickled = ref.pickled
    return _loaded_class(ref.module, ref.name, lambda: loads(pickled))


def _standing(module: str, name: str) -> Any:
    """What an import finds: no pickle is needed for that."""
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _loaded_class(module: str, name: str, load: Callable[[], Any]) -> type:
    try:
        with importing(f"{module}.{name}"):
            cls = load()
    except MemoryError:
        raise
    except WouldDeadlock as error:
        raise CallsAtImport(error.what, data_class=name, module=module) from error
    except BaseException as error:  # a module that calls sys.exit() would end the actor that loads it (S70)
        raise DataClassUnavailable(
            f"{type(error).__name__}: {message_of(error)}", data_class=name, module=module
        ) from error
    if not isinstance(cls, type):
        raise DataClassUnavailable("what was sent is not a class", data_class=name, module=module)
    return cls


def _class_ref(data: bytes) -> AnyClassRef:
    try:
        return _read_class_ref(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # the latter for a text that is not UTF-8
        raise DataClassUnavailable(f"not a data class reference: {error}") from error
