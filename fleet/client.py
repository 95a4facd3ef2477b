"""`fleet.connect`: groups as typed handles, from any thread."""

import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Self

from fleet.actors.base.base import start_system
from fleet.actors.base.settings import split_endpoint
from fleet.actors.channel import Call
from fleet.actors.client import Client, Inbox, StartClient
from fleet.actors.clock import SystemClock
from fleet.actors.mail import GroupOp, ListNodes, NodeOp, OpValue
from fleet.actors.requests import Question, Requests
from fleet.calls import CallOptions, Kind, Reply
from fleet.errors import ConfigError, FleetError, NoNode, OutcomeUnknown, Unavailable, WouldDeadlock
from fleet.member_operations import GRACE_S
from fleet.operations import Operations
from fleet.secret import find_secret

TIMEOUT_S = 10.0
CONNECT_S = 5.0
LEAVE_S = 0.25
"""How long `close` waits for groups to answer that they forget the client."""


def connect(
    addresses: str | Sequence[str],
    *,
    cluster: str = "fleet",
    secret: bytes | str | None = None,
    secret_file: str | os.PathLike[str] | None = None,
    timeout: float = TIMEOUT_S,
    wait: float = 0.0,
) -> "Fleet":
    """A client of the cluster whose nodes listen at "host:port,host:port"; one that answers is enough.

    `timeout`: seconds that a call may take unless its own options say otherwise. `wait`: seconds to go on
    trying, five at least, while nobody listens at any of the addresses, for nodes that are about to start.

    Raises:
        ConfigError: an address or a secret that cannot be.
        WrongSecret, WrongCluster: the nodes refuse this client.
        NoNode: nobody listens at any of them, which is told at once, or who does did not answer
            within 5 s; says what was wrong with each.
    """
    parts = addresses.split(",") if isinstance(addresses, str) else list(addresses)
    cleaned = [part.strip() for part in parts if part.strip()]
    if not cleaned:
        raise ConfigError("connect needs at least one host:port")
    for address in cleaned:
        split_endpoint(address)
    return Fleet(cleaned, cluster, find_secret(secret, secret_file), timeout, wait)


class Fleet(Operations):
    """A connection to a cluster. Threads may share it, processes may not; close it or use it with `with`."""

    def __init__(
        self, addresses: list[str], cluster: str, secret: bytes, timeout: float, wait: float
    ) -> None:
        if not 0 <= wait < float("inf"):
            raise ConfigError(f"wait must be 0 or more seconds, not {wait!r}")
        if not timeout > 0:
            raise ConfigError(f"timeout must be more than 0 seconds, not {timeout!r}")
        self.name = cluster
        self.timeout = timeout
        self._clock = SystemClock()
        self._inbox = Inbox()
        self._system = start_system(cluster=cluster, secret=secret)
        self._closed = False
        self._process = os.getpid()
        self._lock = threading.Lock()
        try:
            actor = self._system.createActor(Client)
            name = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(8)}"
            start = StartClient(self._inbox, self._clock, name, secrets.randbits(32), tuple(addresses))
            self._system.tell(actor, start)
            self._first_answer(list(dict.fromkeys(addresses)), wait)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Calls under way fail, and the groups forget this client; twice is harmless.

        Waits for groups that do not answer at once for `LEAVE_S` at most: they forget it in time.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if os.getpid() == self._process and not self._system.base.in_loop():
            left: Future[None] = Future()
            if self._inbox.put(lambda requests: requests.leave(partial(left.set_result, None))):
                with suppress(TimeoutError):
                    left.result(LEAVE_S)
        self._system.shutdown()
        self._inbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- what handles call -------------------------------------------------------------------------

    def submit(self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions) -> Reply[Any]:
        reply: Reply[Any] = Reply()
        timeout = options.timeout or self.timeout
        deadline = self._clock.now_ms() + round(timeout * 1000)
        call = Call(group, kind == "query", payload, deadline, _finish, reply)
        self._put(lambda requests: requests.submit(call))
        return reply

    def wait(self, reply: Reply[Any], options: CallOptions) -> bytes:
        if self._system.base.in_loop():
            raise WouldDeadlock("a blocking call in the client's own loop")
        try:
            return reply.raw((options.timeout or self.timeout) + GRACE_S)
        except TimeoutError:
            raise OutcomeUnknown("the client's loop does not answer") from None

    # -- plumbing ----------------------------------------------------------------------------------

    def _put(self, action: Callable[[Requests], None]) -> None:
        if os.getpid() != self._process:  # its loop is a thread, and a fork has none of those
            raise Unavailable("this client was opened by another process; connect anew after a fork")
        if self._closed or not self._inbox.put(action):
            raise Unavailable("this client was closed")

    def _run(self, action: Callable[[Requests], Any]) -> Any:
        """What `action` returns, run where the requests live."""
        future: Future[Any] = Future()
        self._put(lambda requests: future.set_result(action(requests)))
        return future.result(GRACE_S)

    def _addresses(self) -> list[str]:
        return list(self._run(lambda requests: list(requests.registries)))

    def _learn(self, addresses: Sequence[str]) -> None:
        def learn(requests: Requests) -> None:
            for address in addresses:
                requests.learn(address)

        self._put(learn)

    def _note_leader(self, group: str, address: str) -> None:
        self._put(lambda requests: requests.note_leader(group, address))

    def _ask_soon(
        self, op: NodeOp | GroupOp, group: str, address: str, repeats: bool, timeout: float | None
    ) -> Future[OpValue]:
        future: Future[OpValue] = Future()

        def finish(value: OpValue | None, error: FleetError | None) -> None:
            if error is not None:
                future.set_exception(error)
            else:
                assert value is not None
                future.set_result(value)

        deadline = self._clock.now_ms() + round((timeout or self.timeout) * 1000)
        self._put(lambda r: r.ask(Question(op, group, address, deadline, finish, repeats)))
        return future

    def _first_answer(self, addresses: list[str], wait: float) -> None:
        """Whether anybody is there, and lets this client in."""
        first: Future[None] = Future()
        errors: dict[str, FleetError] = {}
        lock = threading.Lock()

        def finish(address: str, value: OpValue | None, error: FleetError | None) -> None:
            with lock:
                if first.done():
                    return
                if error is None:
                    first.set_result(None)
                    return
                errors[address] = error
                if len(errors) == len(addresses):
                    first.set_exception(_nobody(errors))

        deadline = self._clock.now_ms() + round(max(CONNECT_S, wait) * 1000)
        for address in addresses:
            told = partial(finish, address)
            question = Question(ListNodes(), "", address, deadline, told, is_patient=wait > 0)
            self._put(lambda r, question=question: r.ask(question))  # type: ignore[misc]
        first.result(max(CONNECT_S, wait) + GRACE_S)


def _nobody(errors: dict[str, FleetError]) -> FleetError:
    """Whoever refuses this client is there; else what is wrong at each address."""
    for error in errors.values():
        if not isinstance(error, Unavailable):
            return error
    what = ", ".join(f"{address}: {error.what}" for address, error in errors.items())
    return NoNode(f"no node answers: {what}")


def _finish(call: Call, value: bytes | None, revision: int, error: FleetError | None) -> None:
    """In the client's loop. What comes after the caller was told OutcomeUnknown is for who asks again."""
    reply: Reply[Any] = call.tag
    if isinstance(error, OutcomeUnknown) and call.gave_up and not reply.done():
        reply.later = Reply()
        error._again = partial(_wait_again, reply.later, error)
        call.tag = reply.later
    if error is not None:
        reply.set_exception(error)
    else:
        assert value is not None
        reply.revision = revision
        reply.set_result(value)


def _wait_again(later: Reply[Any], unknown: OutcomeUnknown, timeout: float | None = None) -> Any:
    """`OutcomeUnknown.again`: the same error once more when the time is over."""
    try:
        return later.result(timeout)
    except TimeoutError:
        raise unknown from None
