"""The contract of a data class, as it stands in the lock file."""

from typing import Final

from msgspec import Struct

BY_PLACE: Final = "by place"


class ParameterContract(Struct, frozen=True, omit_defaults=True):
    name: str
    kind: str
    """As `inspect` says it: "positional or keyword"."""
    annotation: str = ""
    default: bool = False


class MethodContract(Struct, frozen=True, omit_defaults=True):
    parameters: list[ParameterContract] = []
    """Without self."""
    returns: str = ""


class FieldContract(Struct, frozen=True, omit_defaults=True):
    annotation: str = ""
    filled: bool = False
    """Whether a stored value that lacks it gets a default when it is loaded."""


class TypeContract(Struct, frozen=True, omit_defaults=True):
    """A class with fields that states or calls hold: a dataclass, a Struct; or an enum, by its values."""

    fields: dict[str, FieldContract] = {}
    stored: str = "by name"
    """Or BY_PLACE, as a NamedTuple is, or "in slots"."""
    members: dict[str, str] = {}
    in_state: bool = False
    in_calls: bool = False


class ClassContract(Struct, frozen=True, omit_defaults=True):
    version: int
    fingerprint: str
    codec: str
    migrates: bool = False
    """Whether it defines `migrate`."""
    commands: dict[str, MethodContract] = {}
    queries: dict[str, MethodContract] = {}
    state: dict[str, FieldContract] = {}
    types: dict[str, TypeContract] = {}
    """By module and qualified name."""
    reminders: dict[str, MethodContract] = {}
    """By the names that `ctx.remind` takes."""
