"""How a user's class becomes a replicated object: `Data`, `@command`, `@query`, `@reminder`.

One method is three things. On a plain instance it runs at once, so that a class can be unit tested without a
cluster. On a handle (`group_handle`) it is sent to the group. On a member the executor runs its function.
"""

import copy
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field
from functools import partial
from typing import Any, ClassVar, Final, Self, cast, get_origin
from weakref import WeakKeyDictionary

from msgspec import Struct

from fleet.errors import ConfigError, NoSuchGroup
from fleet.objects.client_side import client_side
from fleet.objects.event import received_typed
from fleet.objects.handles import Function
from fleet.objects.hooks import LeaderHooks, check_hooks
from fleet.objects.keyed import KEEP_S, check_keep
from fleet.objects.methods import FunctionalCommand, FunctionalQuery, Method, Reminder
from fleet.objects.methods import command as command
from fleet.objects.methods import query as query
from fleet.objects.methods import reminder as reminder
from fleet.objects.module_codes import remember_code
from fleet.objects.payload import PICKLED, Codec
from fleet.objects.typed import NAME as TYPED_CODEC
from fleet.objects.typed import TypedCodec
from fleet.objects.watch import Since, Watch

RESERVED = frozenset({"command", "query", "migrate", "migrate_back", "watch"})
"""Names that no command or query may have: the functional style and the handle need them."""


class _CodecOfClass:
    """Made at first use, when the names in annotations can be resolved."""

    def __get__(self, instance: object, cls: type[Any]) -> Codec:
        if cls.__fleet_codec_name__ == PICKLED.name:
            return PICKLED
        codec = _codecs.get(cls)
        if codec is None:
            shape = shape_of(cls)
            functions = {**shape.commands, **shape.queries, **shape.reminders}
            codec = _codecs[cls] = TypedCodec(cls, functions, _field_names(cls))
        return codec


_codecs: WeakKeyDictionary[type, Codec] = WeakKeyDictionary()


class Data:
    """Base of data classes. Annotated attributes with defaults are the state of a new object; each instance
    gets a copy of the default, or calls its `dataclasses.field(default_factory=...)`. Or define `__init__`
    without arguments.

    Class keywords: `version` (of the state's form, from 1; inherited), `codec` ("cloudpickle"; or "msgspec":
    typed by the annotations, and no pickle anywhere; see fleet/docs/values.md; inherited), `hooks` (a
    subclass of `fleet.LeaderHooks`; inherited), `strict` (whether a command that reads time, chance, the
    environment, files or sockets fails with ImpureCommand; False; inherited), `check_arguments` (whether
    handles refuse arguments that are not what a method's annotations say; True; inherited), `auto_upgrade`
    (whether groups change to this code by themselves once every node has it; False; inherited), `keep_keys`
    (seconds for which the `key` of a command is kept, where the command does not say; a day; inherited),
    `events_kept` and `events_bytes_kept` (how many of the newest events of `ctx.emit` the group keeps for
    those who watch from earlier on; 10,000 and a weight of 4 MiB; inherited).
    `fingerprint_modules = [...]` names modules whose code counts as the class's own: see
    `fleet.objects.fingerprint`.
    Invariant: a field with a default always exists; it cannot be deleted.
    Raises: ConfigError: from the class statement, for a class that could not be replicated.

    The functional style instead: static `new() -> state`, `command(state, arg) -> (result, state)` and
    `query(state, arg) -> result`; the state may be any value, and the handle has `command(arg)` and
    `query(arg)`. (A type checker sees the static methods and asks for `state` on the handle too.)
    """

    __fleet_version__: ClassVar[int] = 1
    __fleet_codec__: ClassVar[Codec] = cast(Codec, _CodecOfClass())
    __fleet_codec_name__: ClassVar[str] = PICKLED.name
    __fleet_hooks__: ClassVar[type[LeaderHooks[Any]] | None] = None
    __fleet_strict__: ClassVar[bool] = False
    __fleet_check_arguments__: ClassVar[bool] = True
    __fleet_auto_upgrade__: ClassVar[bool] = False
    __fleet_keep_keys__: ClassVar[float] = KEEP_S
    __fleet_events_kept__: ClassVar[int] = 10_000
    __fleet_events_bytes_kept__: ClassVar[int] = 4 << 20

    # Also runs on the empty skeleton of a class that arrives by value, whose own attributes are set later,
    # without this: decisions made here are kept in attributes that travel.
    def __init_subclass__(
        cls,
        *,
        version: int | None = None,
        codec: str | None = None,
        hooks: type[LeaderHooks[Any]] | None = None,
        strict: bool | None = None,
        check_arguments: bool | None = None,
        auto_upgrade: bool | None = None,
        keep_keys: float | None = None,
        events_kept: int | None = None,
        events_bytes_kept: int | None = None,
        **rest: Any,
    ) -> None:
        super().__init_subclass__(**rest)
        if version is not None and (type(version) is not int or version < 1):
            raise ConfigError(f"{cls.__qualname__}: version must be a whole number from 1, not {version!r}")
        if version is not None:
            cls.__fleet_version__ = version
        if codec is not None:
            if codec not in (PICKLED.name, TYPED_CODEC):
                what = f'codec must be "{PICKLED.name}" or "{TYPED_CODEC}", not {codec!r}'
                raise ConfigError(f"{cls.__qualname__}: {what}")
            cls.__fleet_codec_name__ = codec
        if hooks is not None:
            check_hooks(hooks, cls.__qualname__)
            cls.__fleet_hooks__ = hooks
        flags = {"strict": strict, "check_arguments": check_arguments, "auto_upgrade": auto_upgrade}
        for keyword, flag in flags.items():
            if flag not in (None, True, False):
                raise ConfigError(f"{cls.__qualname__}: {keyword} must be True or False, not {flag!r}")
            if flag is not None:
                setattr(cls, f"__fleet_{keyword}__", flag)
        if keep_keys is not None:
            check_keep(f"{cls.__qualname__}: keep_keys", keep_keys)
            cls.__fleet_keep_keys__ = keep_keys
        for keyword, limit in (("events_kept", events_kept), ("events_bytes_kept", events_bytes_kept)):
            if limit is not None and (type(limit) is not int or limit < 1):
                raise ConfigError(
                    f"{cls.__qualname__}: {keyword} must be a whole number from 1, not {limit!r}"
                )
            if limit is not None:
                setattr(cls, f"__fleet_{keyword}__", limit)
        _adopt_functional(cls)
        _check_class(cls)
        _check_typed(cls)
        remember_code(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        for name, first_value in shape_of(cls).fields.items():
            self.__dict__[name] = first_value()
        return self

    def __init__(self) -> None:
        if isinstance(inspect.getattr_static(type(self), "new", None), staticmethod):  # functional style
            self.state = cast(Any, type(self)).new()

    def __delattr__(self, name: str) -> None:
        if name in shape_of(type(self)).fields:
            raise AttributeError(f"{type(self).__name__}.{name} is a field; do not delete it, set it to None")
        super().__delattr__(name)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({fields})"

    @client_side
    def watch(self, since: Since = None, kinds: Iterable[str] | None = None) -> Watch:
        """Of a handle: the group's events, which its commands make by `ctx.emit`, in their order. Iterate
        over it, with `for` or `async for`.

        `since`: a revision, or an event or its id, behind which it begins; None: with whatever is emitted
        from now on. `kinds`: only events of these kinds. Raises: ConfigError; and what `Watch` says.
        """
        handle = vars(self)
        watch = getattr(handle.get("_fleet_caller"), "watch", None)
        if watch is None:
            raise NoSuchGroup(f"{type(self).__name__}.watch: a plain local object is no handle of a group")
        found = cast(Watch, watch(handle["_fleet_group"], since, kinds))
        if handle["_fleet_class"].__fleet_codec_name__ == TYPED_CODEC:
            found.receive = received_typed
        return found

    @classmethod
    def migrate(cls, from_version: int, raw: Any) -> Any:
        """Turn the state `raw` of an older version (a dict of fields, or what `__getstate__` gave) into this
        version's. Fields it leaves out get their defaults."""
        return raw

    @classmethod
    def migrate_back(cls, to_version: int, raw: Any) -> Any:
        """Turn the state `raw` of this version into that of an older one, to which the group returns."""
        raise NotImplementedError(f"define {cls.__qualname__}.migrate_back(to_version, raw)")


# -- what a class is made of ----------------------------------------------------------------------------


class Shape(Struct, frozen=True):
    name: str
    fields: dict[str, Callable[[], Any]]
    """Factories of the first values."""
    commands: dict[str, Function]
    queries: dict[str, Function]
    reminders: dict[str, Function] = {}
    """By the names that `ctx.remind` takes."""


_shapes: WeakKeyDictionary[type, Shape] = WeakKeyDictionary()
_CONSTANT = re.compile(r"(\w+\.)*(ClassVar|Final)\b")


def shape_of(cls: type) -> Shape:
    """Computed once per class, at first use: a class that arrives by value gets its attributes late."""
    shape = _shapes.get(cls)
    if shape is None:
        fields = {name: _first_value(cls, name) for name in _field_names(cls)}
        methods = _methods(cls)
        shape = _shapes[cls] = Shape(
            name=cls.__qualname__,
            fields={name: first_value for name, first_value in fields.items() if first_value is not None},
            commands={name: m.function for name, m in methods.items() if m.kind == "command"},
            queries={name: m.function for name, m in methods.items() if m.kind == "query"},
            reminders={m.name: m.function for m in methods.values() if isinstance(m, Reminder)},
        )
    return shape


def _field_names(cls: type) -> list[str]:
    """Annotated attributes in the order of their definition, without ClassVar and Final."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        for name, annotation in base.__dict__.get("__annotations__", {}).items():
            if not _is_constant(annotation):
                names[name] = None
    return list(names)


def _first_value(cls: type, name: str) -> Callable[[], Any] | None:
    """None: the field has no default."""
    default = inspect.getattr_static(cls, name, MISSING)
    if default is MISSING:  # @dataclass takes a field with a factory out of the class
        default = getattr(cls, "__dataclass_fields__", {}).get(name, MISSING)
    if not isinstance(default, Field):
        return None if default is MISSING else partial(copy.deepcopy, default)
    # A class that came by value has another MISSING.
    if type(default.default_factory) is not type(MISSING):
        return cast(Callable[[], Any], default.default_factory)
    return None if type(default.default) is type(MISSING) else partial(copy.deepcopy, default.default)


def _is_constant(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return _CONSTANT.match(annotation) is not None
    return any(form in (ClassVar, Final) for form in (annotation, get_origin(annotation)))


def _methods(cls: type) -> dict[str, Method[..., Any]]:
    found = {name: inspect.getattr_static(cls, name) for base in cls.__mro__ for name in base.__dict__}
    return {name: value for name, value in found.items() if isinstance(value, Method)}


def _adopt_functional(cls: type) -> None:
    for name, adopt in (("command", FunctionalCommand), ("query", FunctionalQuery)):
        pure = cls.__dict__.get(name)
        if isinstance(pure, staticmethod):
            if not isinstance(inspect.getattr_static(cls, "new", None), staticmethod):
                raise ConfigError(f"{cls.__qualname__}: the functional style needs a static new() -> state")
            setattr(cls, name, adopt(pure.__func__))


def _check_class(cls: type) -> None:
    """Raises ConfigError for mistakes that would otherwise fail later, on every member at once."""
    cls_name, fields, methods = cls.__qualname__, _field_names(cls), _methods(cls)
    for name in _shared_by_all(cls):
        if name not in fields and name != "fingerprint_modules":
            what = f"{cls_name}.{name} is shared by all objects and is no state"
            raise ConfigError(f"{what}: annotate it to make it state, or as a ClassVar if it never changes")
    if "__slots__" in cls.__dict__:
        raise ConfigError(f"{cls_name}: a data class cannot have __slots__; its state is its __dict__")
    for base in cls.__mro__:
        for name, value in base.__dict__.items():
            if isinstance(value, Method) and name not in methods:
                raise ConfigError(f"{cls_name}.{name} hides a {value.kind} of {base.__name__}; rename one")
    for name, method in methods.items():
        if name in fields:
            raise ConfigError(f"{cls_name}.{name} is both a field and a {method.kind}; rename one")
        if name.startswith("_") and not isinstance(method, Reminder):
            raise ConfigError(f"{cls_name}.{name}: a {method.kind} cannot begin with an underscore")
        if name in RESERVED and not isinstance(method, (FunctionalCommand, FunctionalQuery)):
            raise ConfigError(f"{cls_name}.{name}: reserved names are {', '.join(sorted(RESERVED))}")
    reminders = [method.name for method in methods.values() if isinstance(method, Reminder)]
    for name in reminders:
        if reminders.count(name) > 1:
            raise ConfigError(f"{cls_name} has two methods for the reminder {name!r}; rename one")
    init = inspect.getattr_static(cls, "__init__")
    missing = [name for name in fields if _first_value(cls, name) is None]
    if init is Data.__init__ and missing:
        raise ConfigError(f"{cls_name}.{missing[0]} has no first value; give a default or define __init__")
    if _needs_arguments(init):
        raise ConfigError(f"{cls_name}.__init__ must work without arguments; members create the object")


def _check_typed(cls: type[Any]) -> None:
    """Raises ConfigError: its state is more than fields, so that no annotation says what it is."""
    if cls.__fleet_codec_name__ != TYPED_CODEC:
        return
    names = ("__getstate__", "__setstate__", "__reduce__", "__reduce_ex__")
    own = [name for name in names if getattr(cls, name, None) is not getattr(object, name, None)]
    if isinstance(inspect.getattr_static(cls, "new", None), staticmethod):
        own.append("new")
    if own:
        what = f"codec={TYPED_CODEC!r} keeps annotated fields, and is not for a class with {own[0]}"
        raise ConfigError(f"{cls.__qualname__}: {what}")


def _shared_by_all(cls: type) -> list[str]:
    """Mutable class attributes: a command could change them, and no disk would keep the change. Names in
    capitals are taken as constants."""
    annotated = cls.__dict__.get("__annotations__", {})
    return [
        name
        for name, value in cls.__dict__.items()
        if isinstance(value, list | dict | set)
        and not (name in annotated or name.isupper() or name.startswith("__"))
    ]


def _needs_arguments(init: Function) -> bool:
    after_self = list(inspect.signature(init).parameters.values())[1:]
    return any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in after_self)


def check_data_class(data_class: Any) -> None:
    """Raises ConfigError."""
    if not (isinstance(data_class, type) and issubclass(data_class, Data)):
        raise ConfigError(f"{data_class!r} is not a data class; derive it from fleet.Data")
    data_class.__fleet_codec__
