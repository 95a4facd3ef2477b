"""The object of a data class, and its state as bytes."""

from typing import Any

from fleet.errors import FleetError, StateNotEncodable
from fleet.objects.declare import Data
from fleet.objects.fields import unencodable_field
from fleet.objects.handles import Function
from fleet.objects.payload import PICKLED, Codec
from fleet.objects.stored_state import VERSION_BYTES, revived, turned_back
from fleet.objects.typed import TypedCodec

WARY_BYTES_MAX = 256 * 1024
"""The encoded state is kept up to this size."""


class ObjectState:
    """Invariant: `_dump` is None or the encoded state of `_object` as it is now."""

    def __init__(self, cls: type[Any]) -> None:
        self._class = cls
        self._version: int = cls.__fleet_version__
        self._codec: Codec = cls.__fleet_codec__
        self._encode_state = self._codec.encode_state
        own: Function = getattr(cls, "__getstate__")
        self._own_state = None if own is getattr(object, "__getstate__") else own
        self._object: Any = cls()
        self._dump: bytes | None = None
        self._dump_bytes = 0
        self._trouble: StateNotEncodable | None = None

    def dump(self, version: int = 0) -> bytes:
        """The class's version and the state, encoded. Raises StateNotEncodable, with the field, or since the
        class has no way back to an older `version`; 0: its own."""
        if 0 < version < self._version:
            return turned_back(self._class, self._encoded_state(), version)
        try:
            encoded = self._encoded_state()
            self._check_encoded(encoded)
            return self._version.to_bytes(VERSION_BYTES) + encoded
        except MemoryError:
            raise
        except Exception as error:
            raise self._trouble or error

    def trouble(self) -> FleetError | None:
        """As in `fleet.interfaces.Executor`."""
        return self._trouble

    def load(self, state: bytes | None) -> None:
        """Raises DataClassUnavailable, and keeps the object, when this class cannot read the state."""
        loaded = self._class() if state is None else revived(self._class, state)
        self._object = loaded
        self._dump = self._trouble = None
        self._dump_bytes = 0 if state is None else len(state) - VERSION_BYTES

    def copy_from(self, state: bytes) -> Any:
        """A private object in the state that `dump` returned. May be called in any thread."""
        return revived(self._class, state)

    @property
    def data_class(self) -> type[Data]:
        return self._class

    @property
    def object(self) -> Any:
        return self._object

    def _state(self) -> Any:
        return self._object.__dict__ if self._own_state is None else self._own_state(self._object)

    def comparable_state(self) -> Any:
        """The state as a member would have it that begins with a snapshot: a codec may make typed values of
        others. Do not change it. Raises what encoding raises."""
        if self._codec is PICKLED:
            return self._state()
        return self._codec.decode_state(memoryview(self._encoded_state()))

    @property
    def encoded_bytes(self) -> int:
        """Of the state, as it was encoded last."""
        return self._dump_bytes

    def decoded(self, dump: bytes) -> Any:
        """The state in bytes that `dump` returned, as `comparable_state`."""
        return self._codec.decode_state(memoryview(dump)[VERSION_BYTES:])

    def _encoded_state(self) -> bytes:
        data = self._dump
        if data is None:
            try:
                data = self._encode_state(self._state())
            except MemoryError:
                raise
            except Exception as error:
                self._trouble = self._trouble or self._not_encodable(error)
                raise
            self._trouble = None
            self._dump_bytes = len(data)
            if len(data) <= WARY_BYTES_MAX:
                self._dump = data
        return data

    def _check_encoded(self, encoded: bytes) -> None:
        """Raises StateNotEncodable: whoever begins with these bytes would have another state."""
        if not isinstance(self._codec, TypedCodec):
            return
        try:
            self._codec.check_state(self._state(), encoded)
        except (TypeError, ValueError) as error:
            self._trouble = self._not_encodable(error)
            raise self._trouble from error

    def _dump_if_possible(self) -> bytes | None:
        """None: it cannot be encoded, which is an error only in `dump`."""
        try:
            return self._encoded_state()
        except Exception:
            return None

    def _not_encodable(self, error: Exception) -> StateNotEncodable:
        what = f"the state of {self._class.__qualname__} cannot be encoded: {error}"
        return StateNotEncodable(what, field=unencodable_field(self._object))

    def _changed_since(self, before: bytes) -> bool:
        """False also for a state that is encoded differently each time: nothing can be concluded from it."""
        self._dump = None
        after = self._dump_if_possible()
        if after == before:
            return False
        self._dump = None
        return after is None or self._dump_if_possible() == after
