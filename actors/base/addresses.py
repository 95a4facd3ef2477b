"""What stands inside a Thespian ActorAddress: where an actor is, in which life of its process.

The endpoint is where the process listens ("host:port"), the boot id tells one life of the process
from the next, and the local id is the actor in it. An address is therefore dead for good when its
process is, although another process may listen at the same endpoint a moment later. What must
survive a restart is addressed by a well-known name, in any life: `remote_address`.
"""

from typing import Any, TypeAlias

from msgspec import Struct
from thespian.actors import ActorAddress

LocalId: TypeAlias = int | str
"""A number, given once and never again in one life, or the globalName of a well-known actor."""

SYSTEM: LocalId = 0
"""The actor system itself: parent of primary actors, sender of what no actor sent."""

ANY_BOOT = 0

ENDPOINT_BYTES_MAX = 300
"""A host name has 253 letters at most."""


class ActorId(Struct, frozen=True, array_like=True, gc=False):
    """`endpoint` is "" for a process that does not listen: it is found over the link it opened.

    `boot` is the random 63-bit id of the process's life; 0 stands for whichever life answers.
    """

    endpoint: str
    boot: int
    local: LocalId

    def __str__(self) -> str:
        return f"{self.endpoint or '-'}/{self.local}~{self.boot:x}"


class Address(ActorAddress):
    """Thespian's ActorAddress, but hashable and a fifth of the size."""

    __slots__ = ("_aaddr",)

    def __init__(self, ident: ActorId) -> None:
        self._aaddr = ident

    @property
    def ident(self) -> ActorId:
        return self._aaddr

    def __eq__(self, other: object) -> bool:
        if type(other) is Address:
            return bool(self._aaddr == other._aaddr)
        return isinstance(other, ActorAddress) and self._aaddr == other.addressDetails

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._aaddr)

    def __reduce__(self) -> tuple[Any, ...]:
        ident = self._aaddr
        return (_address, (ident.endpoint, ident.boot, ident.local))

    def __repr__(self) -> str:
        return str(self)

    def __copy__(self) -> "Address":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Address":
        return self


def _address(endpoint: str, boot: int, local: LocalId) -> Address:
    return Address(ActorId(endpoint, boot, local))


def remote_address(endpoint: str, name: str) -> Address:
    """The actor created with `globalName=name` in whichever process listens at `endpoint`.

    Needs no contact: what is sent while nobody listens there is lost. It is not equal to the
    address that actor calls its own, which names one life.
    """
    return Address(ActorId(endpoint, ANY_BOOT, name))
