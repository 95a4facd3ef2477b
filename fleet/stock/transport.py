"""Thespian's TCP transport with sealed messages and short queues.

At most one message to each process is under way. Thespian has 20 under way over all targets, and one that a
silent host does not acknowledge keeps its place for minutes, so 20 of those stop everything that an actor
sends. Here the others for the same process wait, `WAITING_MAX` of them at most, and then the oldest are
dropped, as a link of the fleet base drops them.
"""

from collections import deque
from datetime import timedelta
from typing import Any, ClassVar, Final

from thespian.actors import ActorAddress
from thespian.system.timing import ExpirationTimer
from thespian.system.transport import SendStatus, TransmitIntent
from thespian.system.transport import TCPTransport as stock
from thespian.system.transport.streamBuffer import toSendBuffer

from fleet.actors.base.addresses import Address
from fleet.stock.messages import Outward
from fleet.stock.seal import ACCEPTED, REFUSED, Place, Seal
from fleet.system.death_signal import DeathSignal

WAITING_MAX: Final = 500
GIVE_UP: Final = timedelta(seconds=3)
"""A message to another host is given up then, later if it is long: the way may be there again by now, while
the connection still waits longer and longer."""
BYTES_PER_S_MIN: Final = 100_000
"""What a slow way must carry, for long messages to arrive."""
RETRY: Final = timedelta(milliseconds=10)
"""Before what was under way on a connection that broke is sent again; with Thespian's 35 s others for the
same process would wait that long."""
MESSAGE_BYTES_MAX: Final = 256 << 20
"""A longer one is not read: its length is known before its sender is."""


def install(seal: Seal) -> None:
    """Seal what all actor processes say that this process starts from now on: they are forks of it."""
    stock.serializer = seal
    stock.ackMsg = toSendBuffer(ACCEPTED, seal.dumps)
    stock.ackDataErrMsg = toSendBuffer(REFUSED, seal.dumps)


class SealedTransport(stock.TCPTransport):  # type: ignore[misc]
    """Made once in every process of the actor system, which binds its port."""

    gateway: ClassVar[ActorAddress | None] = None
    """The actor that speaks for this process with others by the links of the fleet base. Actors that the
    gateway creates, and those that they create, have it by being forked."""

    death_signal: ClassVar[DeathSignal | None] = None
    """Ends the system's processes, which its admin leads, with the one that has started it."""

    def __init__(self, *args: Any) -> None:
        assert isinstance(stock.serializer, Seal), "no port is opened without a seal"
        self._under_way: dict[Place, deque[TransmitIntent]] = {}
        """Messages that wait for the acknowledgement of an earlier one, by the process that they are for."""
        super().__init__(*args)
        self._own_place = _place_of(self.myAddress)
        stock.serializer.listens_at(self._own_place)
        if self.death_signal is not None and args[0].__class__ is stock.TCPEndpoint and self._is_admin():
            self.death_signal.arm()

    def _is_admin(self) -> bool:
        return bool(self.myAddress == self._adminAddr)

    def close(self) -> None:
        for waiting in self._under_way.values():
            waiting.clear()
        super().close()

    def external_transport_clone(self) -> "SealedTransport":
        return SealedTransport(stock.ExternalTransportCopy(), self._adminAddr, self.txOnly, False)

    def serializer(self, intent: TransmitIntent) -> bytes:
        sealed = stock.serializer.dumps_for(_place_of(intent.targetAddr), (self.myAddress, intent.message))
        return toSendBuffer(sealed, bytes)  # type: ignore[no-any-return]

    def scheduleTransmit(
        self, manager: Any, intent: TransmitIntent, has_exclusive_flag: bool = False
    ) -> None:
        """What is for an address of the fleet base goes by way of the gateway."""
        if type(intent.targetAddr) is Address and self.gateway is not None:
            intent.changeMessage(Outward(intent.targetAddr, intent.message))
            intent.changeTargetAddr(self.gateway)
        super().scheduleTransmit(manager, intent, has_exclusive_flag)

    # -- one at a time -----------------------------------------------------------------------------

    def _canSendNow(self) -> bool:
        """However many are under way: 20 silent processes would stop everything as 20 messages do."""
        return True

    def _schedulePreparedIntent(self, intent: TransmitIntent, has_exclusive_flag: bool = False) -> None:
        place = _place_of(intent.targetAddr)
        if place == self._own_place:
            super()._schedulePreparedIntent(intent, has_exclusive_flag)
            return
        waiting = self._under_way.get(place)
        if waiting is None:
            self._under_way[place] = deque()
            self._begin(intent, has_exclusive_flag)
            return
        waiting.append(intent)
        if len(waiting) > WAITING_MAX:
            waiting.popleft().tx_done(SendStatus.Failed)

    def _begin(self, intent: TransmitIntent, has_exclusive_flag: bool = False) -> None:
        intent.transmit_retry_period = RETRY
        if not intent.targetAddr.addressDetails.isLocalAddr():
            sending = timedelta(seconds=len(intent.serMsg) / BYTES_PER_S_MIN)
            intent._quitTime = ExpirationTimer(GIVE_UP + sending)
        place = _place_of(intent.targetAddr)

        def ended(result: Any, intent: TransmitIntent) -> None:
            self._ended(place)

        super()._schedulePreparedIntent(intent.addCallback(ended, ended), has_exclusive_flag)

    def _ended(self, place: Place) -> None:
        """The message under way was acknowledged, refused or given up."""
        waiting = self._under_way[place]
        if waiting:
            self._begin(waiting.popleft())
        else:
            del self._under_way[place]

    def _finishIncoming(self, incoming: Any, sender: ActorAddress) -> None:
        """Wait for the next message on the connection. Thespian would also send on it: if both sides do so at
        once, each gets a message where it waits for an acknowledgement, and pauses for 40 ms."""
        taken = incoming.socket
        self._incomingSockets[taken.fileno()] = stock.TCPIncomingPersistent(ActorAddress(None), taken)

    # -- strangers ---------------------------------------------------------------------------------

    def _check_XMIT_4_done(self, intent: TransmitIntent, data: bytes) -> bool:
        """Bytes that are no acknowledgement must not end the transmit without a word, or its place would be
        taken for ever."""
        try:
            return bool(super()._check_XMIT_4_done(intent, data))
        except Exception:
            return bool(self._finishIntent(intent, SendStatus.BadPacket))

    def _handleReadableIncoming(self, incoming: Any, has_exclusive_flag: bool = False) -> Any:
        if (incoming._rData._size or 0) > MESSAGE_BYTES_MAX:
            incoming.close()
            return None
        return super()._handleReadableIncoming(incoming, has_exclusive_flag)


def _place_of(address: ActorAddress) -> Place:
    host, port = address.addressDetails.sockname
    return host, port
