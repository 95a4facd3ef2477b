"""`fleet.connect`: groups as typed handles, from any thread."""

import os
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Self

from fleet.actors.base.base import start_system
from fleet.actors.base.keyring import Keyring
from fleet.actors.base.settings import split_endpoint
from fleet.actors.client.actor import Client, StartClient
from fleet.actors.client.calls import ClientCall, bound_of
from fleet.actors.client.inbox import Inbox
from fleet.actors.client.messages import KnownAddresses, LearnAddresses, Leave, ListAddresses, NoteLeader
from fleet.actors.client.questions import Question
from fleet.actors.messages.operator import GroupOp, NodeOp, OpValue
from fleet.actors.runtime.clock import SystemClock
from fleet.blocking import check_may_block
from fleet.client.awaited import AwaitedReply, LoopDeliveries
from fleet.client.backlog import Backlog, Place
from fleet.client.backup_api import BackupOperations
from fleet.client.first_answer import CONNECT_S, first_questions
from fleet.client.group_api import GRACE_S
from fleet.client.watched_group import WatchedGroup
from fleet.config.effective import client_arguments, configure
from fleet.config.settings import OF_A_COMMAND
from fleet.errors import ClientClosed, ConfigError, FleetError, OutcomeUnknown
from fleet.objects.handles import CallOptions, Kind
from fleet.objects.outcomes import Receiver
from fleet.objects.replies import Reply
from fleet.objects.watch import Since, Watch
from fleet.secret import find_secret

TIMEOUT_S = 10.0
CALLS_MAX = 100_000
BYTES_MAX = 256 << 20
LEAVE_S = 0.25
"""How long `close` waits for groups to confirm that they closed the client's session."""


def connect(
    addresses: str | Sequence[str],
    *,
    cluster: str = "fleet",
    secret: bytes | str | Keyring | None = None,
    secret_file: str | os.PathLike[str] | None = None,
    timeout: float = TIMEOUT_S,
    wait: float = 0.0,
    calls_max: int = CALLS_MAX,
    bytes_max: int = BYTES_MAX,
    wait_when_full: bool = False,
    zone: str = "",
) -> "Fleet":
    """Open a client of the cluster whose nodes listen at `addresses`.

    Args:
        addresses: "host:port,host:port" or a list of "host:port"; one that answers is enough.
        cluster: the cluster's id, as on the nodes.
        secret, secret_file: the cluster's secrets, one a line, or role secrets (`fleet secret derive`); by
            default those of `fleet.secret`. A file is read again when it has changed.
        timeout: seconds that a call may take unless its own options say otherwise.
        wait: seconds to keep trying, at least five, while no node listens at any of the addresses; 0: fail
            at once.
        calls_max, bytes_max: how many calls, and bytes of arguments, may be under way in this client. Beyond
            that a call raises Overloaded.
        wait_when_full: such a call waits for room within its timeout instead.
        zone: where this client is: queries that any member may answer are asked of one on a node of that
            zone, as long as one there answers.

    Raises:
        ConfigError: an invalid address, secret, limit or zone.
        WrongSecret, WrongCluster: the nodes refuse this client.
        NoNode: no node listens at any of the addresses, or those that do did not answer within 5 s; says
            what was wrong with each.
        WouldDeadlock: called from a node's or client's own loop, or while a node imports a module.
    """
    check_may_block("fleet.connect()")
    listed = listed_addresses(addresses)
    backlog = Backlog(calls_max, bytes_max, wait_when_full)
    return Fleet(listed, cluster, find_secret(secret, secret_file), timeout, wait, backlog, zone)


def listed_addresses(addresses: str | Sequence[str]) -> list[str]:
    """Those that `connect` was given. Raises ConfigError: there is none, or one is invalid."""
    parts = addresses.split(",") if isinstance(addresses, str) else list(addresses)
    cleaned = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not cleaned:
        raise ConfigError(
            "connect needs at least one host:port of a node. The address of a fleet.Node is empty until it "
            "is started: call start() first, or use `with node:`"
        )
    for address in cleaned:
        split_endpoint(address)
    return cleaned


def check_times(timeout: float, wait: float) -> None:
    """Raises ConfigError for seconds out of range."""
    if not 0 <= wait < float("inf"):
        raise ConfigError(f"wait must be 0 or more seconds, not {wait!r}")
    if not timeout > 0:
        raise ConfigError(f"timeout must be more than 0 seconds, not {timeout!r}")


def new_client_name() -> str:
    """Unique among clients: it identifies their sessions."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(8)}"


class Fleet(BackupOperations):
    """A connection to a cluster; close it, or use it with `with`. Threads may share it, processes may not.

    `wait`: None opens it without waiting for an answer; see `_ask_first`.
    """

    def __init__(
        self,
        addresses: list[str],
        cluster: str,
        secret: bytes | Keyring,
        timeout: float,
        wait: float | None,
        backlog: Backlog,
        zone: str = "",
    ) -> None:
        check_times(timeout, wait or 0.0)
        if type(zone) is not str:
            raise ConfigError(f"a zone is a text, not {zone!r}")
        self.zone = zone
        self.name = cluster
        self.timeout = timeout
        self._backlog = backlog
        self._deliveries = LoopDeliveries()
        self._clock = SystemClock()
        self._inbox = Inbox()
        self.keyring = find_secret(secret)
        self._system = start_system(cluster=cluster, secret=self.keyring)
        self._closed = False
        self._process = os.getpid()
        self._lock = threading.Lock()
        try:
            actor = self._system.createActor(Client)
            start = StartClient(
                self._inbox,
                self._clock,
                new_client_name(),
                secrets.randbits(32),
                tuple(addresses),
                backlog.leave,
                zone,
            )
            self._system.tell(actor, start)
            if wait is not None:
                self._first_answer(addresses, wait)
        except BaseException:
            self.close()
            raise

    @classmethod
    def from_config(cls, path: str | None = None, **arguments: Any) -> "Fleet":
        """As `connect`, with the settings of `fleet.toml`, or of the file at `path`, as commands find them.

        `arguments` are those of `connect`; they override the environment, which overrides the file.

        Raises:
            ConfigError: an invalid setting; says where it is. And whatever `connect` raises.
        """
        given = {"connect" if name == "addresses" else name: value for name, value in arguments.items()}
        if isinstance(given.get("connect"), str):
            given["connect"] = tuple(listed_addresses(given["connect"]))
        found = configure(OF_A_COMMAND, given, path, flag_names="")
        others = {name: value for name, value in given.items() if name not in found.found or name == "secret"}
        return connect(**client_arguments(found), **others)

    def close(self) -> None:
        """Fail the calls under way and close this client's sessions. Idempotent.

        Waits up to `LEAVE_S` for groups to confirm; sessions of groups that do not are left to expire.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._backlog.close(self._is_closed())
        if os.getpid() == self._process and not self._system.base.in_loop():
            left: Future[None] = Future()
            if self._inbox.put(Leave(partial(left.set_result, None))):
                with suppress(TimeoutError):
                    left.result(LEAVE_S)
        self._system.shutdown()
        self._inbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- called by handles -------------------------------------------------------------------------

    def submit(self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions) -> Reply[Any]:
        reply: Reply[Any] = Reply(options.read)
        call = self._new_call(group, kind, payload, options, reply)
        place = self._backlog.enter(len(payload), options.wait_when_full)
        if place is not None:
            check_may_block("a call that waits for room")
            self._backlog.wait(place, options.timeout or self.timeout)
        self._send(call)
        return reply

    def submit_aio(
        self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions
    ) -> Awaitable[Any]:
        reply = self._deliveries.new_reply(options.with_revision, options.read)
        call = self._new_call(group, kind, payload, options, reply)
        place = self._backlog.enter(len(payload), options.wait_when_full)
        if place is not None:
            return self._send_when_admitted(call, reply, place, options)
        self._send(call)
        return reply.future

    async def _send_when_admitted(
        self, call: ClientCall, reply: AwaitedReply, place: Place, options: CallOptions
    ) -> Any:
        await self._backlog.wait_aio(place, options.timeout or self.timeout)
        self._send(call)
        return await reply.future

    def _new_call(
        self, group: str, kind: Kind, payload: bytes, options: CallOptions, receiver: Receiver
    ) -> ClientCall:
        if options.nearest and not self.zone:
            raise ConfigError(".nearest() needs to know where this client is: connect(..., zone=...)")
        deadline = self._clock.now_ms() + round((options.timeout or self.timeout) * 1000)
        return ClientCall(group, kind == "query", payload, deadline, receiver, bound_of(options))

    def _send(self, call: ClientCall) -> None:
        if not self._inbox.put(call):
            self._backlog.leave(1, len(call.payload))
            raise self._is_closed()

    def wait(self, reply: Reply[Any], options: CallOptions) -> bytes:
        try:
            return reply.raw((options.timeout or self.timeout) + GRACE_S)
        except TimeoutError:
            raise OutcomeUnknown("the client's loop does not answer") from None

    def watch(self, group: str, since: Since = None, kinds: Iterable[str] | None = None) -> Watch:
        """The events of a group, as `handle.watch`; the group's class need not be here."""
        return Watch(WatchedGroup(group, self._put, self._watch_deadline), group, since, kinds)

    def _watch_deadline(self) -> int:
        return self._clock.now_ms() + round(self.timeout * 1000)

    # -- plumbing ----------------------------------------------------------------------------------

    def _put(self, message: Any) -> None:
        if self._closed or not self._inbox.put(message):
            raise self._is_closed()

    def _is_closed(self) -> FleetError:
        if os.getpid() != self._process:  # its loop is a thread, and a fork has none of those
            return ClientClosed("this client was opened by another process, of which this one is a fork")
        if self._closed:
            return ClientClosed("this client was closed")
        return ClientClosed("this client failed; its log says why")

    def _known(self) -> KnownAddresses:
        check_may_block("a question to the cluster")
        known: Future[KnownAddresses] = Future()
        self._put(ListAddresses(known.set_result))
        return known.result(GRACE_S)

    def _addresses(self) -> list[str]:
        return list(self._known().addresses)

    def _foreign(self) -> list[str]:
        return [error.what for error in self._known().foreign]

    def _uid(self) -> int:
        return self._known().uid

    def _learn(self, addresses: Sequence[str]) -> None:
        self._put(LearnAddresses(tuple(addresses)))

    def _note_leader(self, group: str, address: str) -> None:
        self._put(NoteLeader(group, address))

    def _ask_soon(
        self, op: NodeOp | GroupOp, group: str, address: str, repeats: bool, timeout: float | None
    ) -> Future[OpValue]:
        check_may_block("a question to the cluster")
        future: Future[OpValue] = Future()

        def told(outcome: OpValue | FleetError) -> None:
            if isinstance(outcome, FleetError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        deadline = self._clock.now_ms() + round((timeout or self.timeout) * 1000)
        self._put(Question(op, group, address, deadline, told, repeats))
        return future

    def _ask_first(
        self, addresses: Sequence[str], wait: float, tell: Callable[[FleetError | None], None]
    ) -> None:
        """Ask each of the addresses, and `tell` once, in the client's loop: None when one has accepted this
        client, else what `connect` raises."""
        for question in first_questions(addresses, wait, self._clock.now_ms(), tell):
            self._put(question)

    def _first_answer(self, addresses: list[str], wait: float) -> None:
        """Returns when one node has accepted this client. Raises what `connect` documents."""
        first: Future[FleetError | None] = Future()
        self._ask_first(addresses, wait, first.set_result)
        error = first.result(max(CONNECT_S, wait) + GRACE_S)
        if error is not None:
            raise error
