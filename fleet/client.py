"""`fleet.connect`: groups as typed handles, from any thread."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from hashlib import blake2b
from typing import Any, Self, TypeVar

from fleet.actors.base.base import start_system
from fleet.actors.base.settings import split_endpoint
from fleet.actors.channel import Call
from fleet.actors.client import Client, Inbox, StartClient
from fleet.actors.clock import SystemClock
from fleet.actors.mail import (
    ChangeConfig,
    CreateGroup,
    GetStatus,
    GroupOp,
    GroupSpec,
    ListMembers,
    ListNodes,
    MemberList,
    MemberStatus,
    NodeInfo,
    NodeOp,
    Nodes,
    OpValue,
    TransferLeader,
)
from fleet.actors.requests import Question, Requests
from fleet.data import CallOptions, Data, Kind, Reply, bind
from fleet.errors import (
    BadArguments,
    ConfigError,
    FleetError,
    GroupExists,
    NoSuchNode,
    OutcomeUnknown,
    Unavailable,
    WouldDeadlock,
)
from fleet.payload import encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.ids import NodeName, node_of
from fleet.secret import find_secret

D = TypeVar("D")
TIMEOUT_S = 10.0
CONNECT_S = 5.0
GRACE_S = 5.0
"""A blocking caller waits this much longer than the loop should need to tell it."""
POLL_S = 0.02


def connect(
    addresses: str | Sequence[str],
    *,
    cluster: str = "fleet",
    secret: bytes | str | None = None,
    secret_file: str | os.PathLike[str] | None = None,
    timeout: float = TIMEOUT_S,
) -> "Fleet":
    """A client of the cluster whose nodes listen at "host:port,host:port"; one that answers is enough.

    `timeout`: seconds that a call may take unless its own options say otherwise.

    Raises:
        ConfigError: an address or a secret that cannot be.
        WrongSecret, WrongCluster: the nodes refuse this client.
        Unavailable: no node answered within 5 s.
    """
    parts = addresses.split(",") if isinstance(addresses, str) else list(addresses)
    cleaned = [part.strip() for part in parts if part.strip()]
    if not cleaned:
        raise ConfigError("connect needs at least one host:port")
    for address in cleaned:
        split_endpoint(address)
    return Fleet(cleaned, cluster, find_secret(secret, secret_file), timeout)


class Fleet:
    """A connection to a cluster. Threads may share it; close it or use it with `with`."""

    def __init__(self, addresses: list[str], cluster: str, secret: bytes, timeout: float) -> None:
        if not timeout > 0:
            raise ConfigError(f"timeout must be more than 0 seconds, not {timeout!r}")
        self.timeout = timeout
        self._clock = SystemClock()
        self._inbox = Inbox()
        self._system = start_system(cluster=cluster, secret=secret)
        self._closed = False
        self._lock = threading.Lock()
        try:
            actor = self._system.createActor(Client)
            name = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(8)}"
            start = StartClient(self._inbox, self._clock, name, secrets.randbits(32), tuple(addresses))
            self._system.tell(actor, start)
            self._first_answer(addresses)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Calls under way fail; twice is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._system.shutdown()
        self._inbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- groups ------------------------------------------------------------------------------------

    def group(self, name: str, data_class: type[D]) -> D:
        """The group as an object of its class; whether it exists shows at the first call."""
        check_group_name(name)
        check_data_class(data_class)
        return bind(data_class, name, self)

    def create_group(
        self,
        name: str,
        data_class: type[D],
        *,
        replicas: int = 3,
        nodes: Sequence[str] | None = None,
        config: GroupConfig | None = None,
        exist_ok: bool = False,
        timeout: float | None = None,
    ) -> D:
        """Found a group and wait until its members are there.

        `nodes`: where they live, the first one founds it; else the first `replicas` nodes in a
        stable order that differs from group to group. A node that does not answer joins when it does:
        the call returns when the others have.

        Raises:
            GroupExists: and `exist_ok` is not set.
            NoSuchNode, BadArguments, NotEncodable, DataClassUnavailable: nothing was done.
            Unavailable: no leader within `timeout` seconds; the group may come up later.
        """
        check_group_name(name)
        check_data_class(data_class)
        deadline = time.monotonic() + (timeout or self.timeout)
        known = {info.name: info for info in self.nodes()}
        chosen = choose_nodes(name, list(known), replicas, nodes)
        wanted = tuple(NodeName(node) for node in chosen)
        spec = GroupSpec(name, encode_class(data_class), wanted, config or GroupConfig())
        founder = known[NodeName(chosen[0])]
        for info in known.values():
            if not exist_ok and info.name in chosen[1:] and self._hosts(info, name):
                raise GroupExists(f"group {name!r} exists", group=name, node=info.name)
        try:
            self._ask_node(founder.address, CreateGroup(spec), repeats=False, timeout=timeout)
        except GroupExists:
            if not exist_ok:
                raise
        self._await_members(name, chosen, deadline)
        return self.group(name, data_class)

    def _hosts(self, node: NodeInfo, group: str) -> bool:
        try:
            members = self.members(node.address)
        except Unavailable:
            return False
        return any(member.group == group for member in members.members)

    def _await_members(self, name: str, chosen: Sequence[str], deadline: float) -> None:
        """Until everyone who answers votes. A node that stays away is not waited for to the end."""
        patience = time.monotonic() + (deadline - time.monotonic()) / 2
        while True:
            status = self._status_or_none(name, deadline)
            if status is not None and status.role == "leader":
                voting = {node_of(voter) for voter in status.voters}
                if voting >= set(chosen) or time.monotonic() > patience:
                    return
            if time.monotonic() > deadline:
                raise Unavailable("the group has no leader yet", group=name, nodes=", ".join(chosen))
            time.sleep(POLL_S)

    def _status_or_none(self, name: str, deadline: float) -> MemberStatus | None:
        try:
            return self.status(name, timeout=max(0.1, deadline - time.monotonic()))
        except Unavailable:
            return None

    # -- looking and changing ----------------------------------------------------------------------

    def nodes(self) -> list[NodeInfo]:
        """The nodes that the first node to answer knows of."""
        for address in self._addresses():
            try:
                value = self._ask_node(address, ListNodes(), timeout=CONNECT_S / 2)
            except Unavailable:
                continue
            assert isinstance(value, Nodes)
            return sorted(value.nodes, key=lambda info: info.name)
        raise Unavailable("no node answers", addresses=", ".join(self._addresses()))

    def members(self, address: str) -> MemberList:
        """What lives on the node at this address."""
        value = self._ask_node(address, ListMembers())
        assert isinstance(value, MemberList)
        return value

    def status(self, group: str, timeout: float | None = None) -> MemberStatus:
        """The group as its leader sees it, or as some member does when there is no leader."""
        deadline = time.monotonic() + (timeout or self.timeout)
        best: MemberStatus | None = None
        for address in self._addresses():
            left = max(0.1, min(1.0, deadline - time.monotonic()))
            try:
                value = self._ask_group(group, GetStatus(), address=address, timeout=left)
            except FleetError:
                continue
            assert isinstance(value, MemberStatus)
            if best is None or (value.role == "leader", value.term) > (best.role == "leader", best.term):
                best = value
        if best is None:
            raise Unavailable("no member of the group answers", group=group)
        return best

    def statuses(self, group: str, timeout: float = 1.0) -> dict[str, MemberStatus]:
        """Each member as it sees itself, by its node; who does not answer in time is left out."""
        asked = [self._ask_soon(GetStatus(), group, at, True, timeout) for at in self._addresses()]
        found = {}
        for future in asked:
            try:
                value = future.result(timeout + GRACE_S)
            except FleetError:
                continue
            assert isinstance(value, MemberStatus)
            found[str(node_of(value.member))] = value
        return found

    def transfer_leader(self, group: str, node: str, timeout: float | None = None) -> None:
        """Hand the group's leadership to its member on `node`.

        Raises: TargetUnresponsive, NotMember, Unavailable.
        """
        status = self.status(group, timeout)
        for member in (*status.voters, *status.learners):
            if node_of(member) == node:
                self._ask_group(group, TransferLeader(member), timeout=timeout)
                return
        raise NoSuchNode(f"group {group!r} has no member on {node!r}", group=group, node=node)

    def change_config(self, group: str, config: GroupConfig, timeout: float | None = None) -> None:
        """Returns when the change is committed."""
        self._ask_group(group, ChangeConfig(config), timeout=timeout)

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
        if self._closed:
            raise Unavailable("this client was closed")
        self._inbox.put(action)

    def _run(self, action: Callable[[Requests], Any]) -> Any:
        """What `action` returns, run where the requests live."""
        future: Future[Any] = Future()
        self._put(lambda requests: future.set_result(action(requests)))
        return future.result(GRACE_S)

    def _addresses(self) -> list[str]:
        return list(self._run(lambda requests: list(requests.registries)))

    def _ask_node(
        self, address: str, op: NodeOp, *, repeats: bool = True, timeout: float | None = None
    ) -> OpValue:
        return self._ask(op, "", address, repeats, timeout)

    def _ask_group(self, group: str, op: GroupOp, address: str = "", timeout: float | None = None) -> OpValue:
        return self._ask(op, group, address, True, timeout)

    def _ask(
        self, op: NodeOp | GroupOp, group: str, address: str, repeats: bool, timeout: float | None
    ) -> OpValue:
        future = self._ask_soon(op, group, address, repeats, timeout)
        return future.result((timeout or self.timeout) + GRACE_S)

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

    def _first_answer(self, addresses: list[str]) -> None:
        """Whether anybody is there, and lets this client in."""
        first: Future[None] = Future()
        left = len(addresses)
        lock = threading.Lock()

        def finish(value: OpValue | None, error: FleetError | None) -> None:
            nonlocal left
            with lock:
                left -= 1
                if first.done():
                    return
                if error is None:
                    first.set_result(None)
                elif not left:
                    first.set_exception(error)

        deadline = self._clock.now_ms() + round(CONNECT_S * 1000)
        for address in addresses:
            question = Question(ListNodes(), "", address, deadline, finish)
            self._put(lambda r, question=question: r.ask(question))  # type: ignore[misc]
        first.result(CONNECT_S + GRACE_S)


def _finish(call: Call, value: bytes | None, revision: int, error: FleetError | None) -> None:
    """In the client's loop. A late result of a call that was told OutcomeUnknown goes to who asks again."""
    reply: Reply[Any] = call.tag
    if reply.done():
        reply = reply.later
    if isinstance(error, OutcomeUnknown):
        later = reply.later = Reply()
        error._again = later.result
        if not call.gave_up:
            later.set_exception(error)
        reply.set_exception(error)
        call.tag = reply
    elif error is not None:
        reply.set_exception(error)
    else:
        assert value is not None
        reply.revision = revision
        reply.set_result(value)


def check_group_name(name: str) -> None:
    if not isinstance(name, str) or not name:
        raise BadArguments("a group's name is a string that is not empty", name=repr(name))
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadArguments(f"a group's name is UTF-8 text: {error.reason}", name=repr(name)) from None


def check_data_class(data_class: Any) -> None:
    if not (isinstance(data_class, type) and issubclass(data_class, Data)):
        raise ConfigError(f"{data_class!r} is not a data class; derive it from fleet.Data")


def choose_nodes(group: str, known: list[Any], replicas: int, nodes: Sequence[str] | None) -> list[str]:
    """Where a new group's members live, the founder's node first."""
    if nodes is None:
        if replicas < 1:
            raise BadArguments(f"replicas must be at least 1, not {replicas}", group=group)

        def weight(node: str) -> bytes:
            return blake2b(f"{node}\0{group}".encode(), digest_size=8).digest()

        return sorted(known, key=weight)[:replicas]
    chosen = list(dict.fromkeys(nodes))
    if not chosen:
        raise BadArguments("a group lives on at least one node", group=group)
    unknown = [node for node in chosen if node not in known]
    if unknown:
        raise NoSuchNode(f"no node {unknown[0]!r} is known", group=group, known=", ".join(sorted(known)))
    return chosen
