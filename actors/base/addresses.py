"""The contents of a Thespian ActorAddress: the endpoint of a process, its boot id, and the actor in it.

The endpoint is where the process listens ("host:port"), the boot id distinguishes each start of the process,
and the local id names the actor. An address is therefore dead for good when its process has ended, even if
another process listens at the endpoint later. `remote_address` names a well-known actor across restarts.
"""

from typing import Any, TypeAlias

from msgspec import Struct
from thespian.actors import ActorAddress

LocalId: TypeAlias = int | str
"""A number, unique in the life of the process, or the globalName of a well-known actor."""

SYSTEM: LocalId = 0
"""The actor system itself: parent of primary actors, and the sender where no actor is."""

ANY_BOOT = 0

ENDPOINT_BYTES_MAX = 300
"""A host name has 253 letters at most."""


class ActorId(Struct, frozen=True, array_like=True, gc=False):
    """`endpoint` is "" for a process that does not listen: it is reached over the link it opened.

    `boot` is the random 63-bit id of this start of the process; 0 stands for any.
    """

    endpoint: str
    boot: int
    local: LocalId

    def __str__(self) -> str:
        return f"{self.endpoint or '-'}/{self.local}~{self.boot:x}"


class Address(ActorAddress):
    """Thespian's ActorAddress, but hashable and a fifth of the size."""

    __slots__ = ("_aaddr", "cell")

    def __init__(self, ident: ActorId) -> None:
        self._aaddr = ident
        self.cell: Any = None
        """Of an actor of this process, as long as it lives and if this is the very object that its kernel has
        made: messages to it need no search."""

    @property
    def ident(self) -> ActorId:
        return self._aaddr

    def __eq__(self, other: object) -> bool:
        if type(other) is Address:
            return bool(self._aaddr == other._aaddr)
        if not isinstance(other, ActorAddress) or type(other.addressDetails) is not ActorId:
            return False  # those of other bases cannot be compared with anything else
        return bool(self._aaddr == other.addressDetails)

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

    Makes no contact; messages sent while no process listens there are lost. Not equal to the actor's own
    address, which names one start of its process.
    """
    return Address(ActorId(endpoint, ANY_BOOT, name))
