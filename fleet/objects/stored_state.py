"""States as they are kept: the version of the class, then the state, encoded."""

from typing import Any, Final

from fleet.errors import DataClassUnavailable, StateNotEncodable
from fleet.objects.described import message_of
from fleet.objects.payload import Codec

VERSION_BYTES: Final = 4


def revived(cls: Any, stored: bytes) -> Any:
    """A new object of the class in that state, which is migrated if an older version of the class has left
    it. Raises DataClassUnavailable: this class cannot load it."""
    version = int.from_bytes(stored[:VERSION_BYTES])
    known: int = cls.__fleet_version__
    if version > known:
        raise _unavailable(cls, f"the state has version {version}, the class here only {known}")
    codec: Codec = cls.__fleet_codec__
    try:
        raw = codec.decode_state(memoryview(stored)[VERSION_BYTES:])
        if version < known:
            raw = cls.migrate(version, raw)
        found = cls.__new__(cls)
        if hasattr(cls, "__setstate__"):
            found.__setstate__(raw)
        else:
            found.__dict__.update(raw)
    except MemoryError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise _unavailable(cls, f"the state of version {version} cannot be loaded: {why}") from error
    return found


def turned_back(cls: Any, encoded: bytes, version: int) -> bytes:
    """The class's state `encoded`, as an older `version` of it keeps that. Raises StateNotEncodable: there is
    no way back."""
    codec: Codec = cls.__fleet_codec__
    try:
        raw = cls.migrate_back(version, codec.decode_state(memoryview(encoded)))
        return version.to_bytes(VERSION_BYTES) + codec.encode_state(raw)
    except MemoryError:
        raise
    except Exception as error:
        what = f"{cls.__qualname__} of version {cls.__fleet_version__} has no way back to version {version}"
        raise StateNotEncodable(f"{what}: {type(error).__name__}: {message_of(error)}") from error


def _unavailable(cls: type, what: str) -> DataClassUnavailable:
    return DataClassUnavailable(what, data_class=cls.__qualname__, module=cls.__module__)
