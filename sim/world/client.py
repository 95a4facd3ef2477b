"""A simulated client: the shipping request machinery in a small actor."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from weakref import ref

from msgspec import Struct
from thespian.actors import WakeupMessage

from fleet.actors.client.calls import ClientCall
from fleet.actors.client.questions import Question
from fleet.actors.client.requester import Requester
from fleet.actors.messages.client import ReadBound
from fleet.actors.messages.operator import GroupOp, NodeOp, OpValue
from fleet.cluster.codec import codec_of
from fleet.errors import FleetError
from fleet.interfaces import Clock
from fleet.objects.keyed import KEEP_S_MAX, EncodeCall, keyed_encoder
from fleet.objects.outcomes import CallOutcome, Impatient, Succeeded
from fleet.objects.payload import decode_result
from fleet.raft.ids import Revision

NEXT = "next"
Told = Callable[[Any, FleetError | None], None]
Receive = Callable[[CallOutcome], None]


class StartClient(Struct, frozen=True):
    clock: Clock
    name: str
    seed: int
    addresses: tuple[str, ...]


class SimClient(Requester):
    """The client actor, with calls from the world in place of threads."""

    in_turn: Callable[[Callable[[], None]], None]
    """Runs an action in its process, as a turn of its own."""
    process: Any
    """Where it runs."""
    told_revision: Revision = 0
    """Of the result that `told` is given."""

    def on_start(self, m: StartClient, sender: Any) -> None:
        self.on_time: Callable[[], None] = lambda: None
        self.open: dict[int, Receive] = {}
        """Who is told the outcomes of calls, by numbers. The calls themselves hold nothing: the collector
        does not look into them, and a world that ends before its calls would stay in memory."""
        self.calls = 0
        self.begin(m.clock, m.name, m.seed, m.addresses)

    # From outside, between turns or within one:

    def call(
        self,
        group: str,
        method: str,
        args: tuple[Any, ...],
        is_query: bool,
        within_ms: int,
        told: Told,
        bound: ReadBound | None = None,
        key: str = "",
    ) -> None:
        """Calls `told(value, error)` exactly once."""

        def settled(outcome: CallOutcome) -> None:
            if not isinstance(outcome, Succeeded):
                told(
                    None, outcome.error
                )  # not raised: a call that waits may hold it, and then the frames, too
                return
            self.told_revision = outcome.revision
            try:
                result = decode_result(outcome.value)
            except FleetError as error:
                told(None, error)
            else:
                told(result, None)

        deadline = self.router.clock.now_ms() + within_ms
        encode_call: EncodeCall = codec_of(group).encode_call
        if key:
            encode_call = keyed_encoder(encode_call, key, KEEP_S_MAX)
        payload = encode_call(method, args, {})
        self.calls += 1
        self.open[self.calls] = settled
        receiver = Impatient(partial(settle, ref(self), self.calls))
        self.router.submit(ClientCall(group, is_query, payload, deadline, receiver, bound))

    def ask(
        self,
        op: NodeOp | GroupOp,
        group: str,
        address: str,
        told: Callable[[OpValue | None, FleetError | None], None],
        within_ms: int = 5000,
    ) -> None:
        def settled(outcome: OpValue | FleetError) -> None:
            if isinstance(outcome, FleetError):
                told(None, outcome)
            else:
                told(outcome, None)

        deadline = self.router.clock.now_ms() + within_ms
        self.router.ask(Question(op, group, address, deadline, settled))

    def wake_in(self, us: int) -> None:
        self.wakeupAfter(timedelta(microseconds=us), payload=NEXT)

    # What arrives:

    def on_wakeup(self, m: WakeupMessage, sender: Any) -> None:
        if m.payload == NEXT:
            self.on_time()
        else:
            self.pass_on(m, sender)

    handlers = Requester.handlers | {StartClient: on_start, WakeupMessage: on_wakeup}


def settle(client: "ref[SimClient]", number: int, outcome: CallOutcome) -> None:
    here = client()
    assert here is not None, "its own router tells it"
    here.open.pop(number)(outcome)
