"""Groups as addresses of Thespian actors, on any system base.

    fleet.thespian.connect(system, "10.0.0.1:7400,10.0.0.2:7400")

    class Door(ActorTypeDispatcher):
        def receiveMsg_str(self, name, sender):
            self.send(fleet.thespian.group(self, "visits"), Counter.add.call(1).options(tag=sender))

        def receiveMsg_Result(self, result, _):
            self.send(result.tag, result.get())

`fleet/docs/thespian.md` has a whole application. `gateway` has the actors behind the addresses, `loop_client`
and `thread_client` the client of a system on the fleet base and on Thespian's own.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from thespian.actors import Actor, ActorAddress, ActorSystem

from fleet.actors.base import base
from fleet.actors.base.base import FleetBase
from fleet.actors.base.cell import Cell
from fleet.blocking import check_may_block
from fleet.client.cluster_api import check_group_name
from fleet.client.connection import BYTES_MAX, CALLS_MAX, TIMEOUT_S, check_times, listed_addresses
from fleet.client.first_answer import CONNECT_S
from fleet.errors import BadArguments, Unavailable
from fleet.objects.messages import Call, Result
from fleet.secret import find_secret
from fleet.thespian.gateway import gateway_of, group_address_of
from fleet.thespian.messages import Connect, Connected

__all__ = ["Call", "Connected", "Result", "connect", "group", "start_system"]

CALLS_MAX_BETWEEN_PROCESSES = 500
"""A Thespian process with 950 messages to send receives none until most of them have left, and an actor that
hangs takes none of its results: so many it can have waiting."""
START_S = 10.0
"""How long the gateway's process may take to start and to answer, besides the nodes."""


def group(where: ActorSystem | Actor, name: str, *, cluster: str = "fleet") -> ActorAddress:
    """The address of the group of that name. Any actor of the system may send it a `Call`, and gets exactly
    one `Result` for each; it may be passed on in messages, and asked from outside by `ActorSystem.ask`.

    Sends nothing to the cluster: a missing group fails its calls. Keep the address instead of asking for it
    again: on bases with a process for each actor, that asks another process, and each name is a process.
    Commands that an actor sends to an address it keeps are executed in that order.

    Args:
        where: the actor system, or an actor of it, which does not wait.
        cluster: the cluster's id, as given to `connect`.

    Raises: BadArguments: an invalid name, or `where` is something else.
    """
    check_group_name(name)
    _check_where(where)
    return group_address_of(where, name, cluster)


def connect(
    where: ActorSystem | Actor,
    addresses: str | Sequence[str],
    *,
    cluster: str = "fleet",
    secret: bytes | str | None = None,
    secret_file: str | os.PathLike[str] | None = None,
    timeout: float = TIMEOUT_S,
    wait: float = 0.0,
    calls_max: int | None = None,
    bytes_max: int = BYTES_MAX,
) -> ActorAddress:
    """Make the actor system a client of a cluster, once; again it only adds addresses.

    Returns the address of the gateway, the actor that holds the client; an ActorExitRequest closes that.
    From outside it waits until a node has accepted the client. An actor does not wait: it gets a
    `Connected`. Calls that are sent before that wait within their timeout.

    Args:
        where: the actor system, or an actor of it.
        addresses, cluster, timeout, wait: as for `fleet.connect`.
        secret, secret_file: the cluster's secret; on the fleet base by default the actor system's own,
            elsewhere that of `fleet.secret`.
        calls_max, bytes_max: how many calls of all actors, and bytes of arguments, may be under way. A call
            beyond that gets a Result with Overloaded. None: 100,000 calls where all actors are in one
            process, 500 elsewhere.

    Raises (from outside):
        ConfigError: an invalid address, secret or limit, or another secret than before.
        WrongSecret, WrongCluster: the nodes refuse this client.
        NoNode: no node answers. The gateway continues to look for one: calls may be sent all the same.
        Unavailable: the gateway does not answer.
        WouldDeadlock: called with the actor system inside an actor; pass the actor itself.
    """
    _check_where(where)
    check_times(timeout, wait)
    listed = tuple(listed_addresses(addresses))
    is_own = _is_on_fleet_base(where) and secret is None and secret_file is None
    found = None if is_own else find_secret(secret, secret_file)
    most = _calls_max(where) if calls_max is None else calls_max
    message = Connect(listed, cluster, found, timeout, wait, most, bytes_max)
    return _connected(where, message)


def start_system(
    *,
    cluster: str = "fleet",
    secret: bytes | str | None = None,
    secret_file: str | os.PathLike[str] | None = None,
) -> ActorSystem:
    """An actor system on the fleet base: many light actors in one thread of this process, with links to the
    nodes of a cluster that has that id and secret. Stop it with `.shutdown()`.

    Raises: ConfigError: no valid secret.
    """
    return base.start_system(cluster=cluster, secret=find_secret(secret, secret_file))


def _connected(where: Any, message: Connect) -> ActorAddress:
    if not isinstance(where, ActorSystem):
        gateway = gateway_of(where, message.cluster)
        where.send(gateway, message)
        return gateway
    check_may_block("fleet.thespian.connect() with the actor system")
    gateway = gateway_of(where, message.cluster)
    answer = _asked(where, gateway, message, max(CONNECT_S, message.wait) + START_S)
    if answer is None:
        raise Unavailable("the gateway of the actor system does not answer; its log says why")
    if answer.error is not None:
        raise answer.error
    return gateway


def _check_where(where: object) -> None:
    if not isinstance(where, (ActorSystem, Actor)):
        raise BadArguments(f"an actor system or an actor is expected, not {where!r}")


def _is_on_fleet_base(where: Any) -> bool:
    if isinstance(where, ActorSystem):
        return isinstance(where._systemBase, FleetBase)
    return isinstance(where._myRef, Cell)


def _is_simple(where: Any) -> bool:
    system_or_ref = where._systemBase if isinstance(where, ActorSystem) else where._myRef
    return type(system_or_ref).__module__ == "thespian.system.simpleSystemBase"


def _calls_max(where: Any) -> int:
    is_one_process = _is_on_fleet_base(where) or _is_simple(where)
    return CALLS_MAX if is_one_process else CALLS_MAX_BETWEEN_PROCESSES


def _asked(system: Any, gateway: ActorAddress, message: Connect, seconds: float) -> Connected | None:
    """A private endpoint receives nothing else; on simpleSystemBase only the system's own thread can wait."""
    if _is_simple(system):
        return _answer_of(system, gateway, message, seconds)
    with system.private() as endpoint:
        return _answer_of(endpoint, gateway, message, seconds)


def _answer_of(endpoint: Any, gateway: ActorAddress, message: Connect, seconds: float) -> Connected | None:
    until = time.monotonic() + seconds
    answer = endpoint.ask(gateway, message, seconds)
    while answer is not None and not isinstance(answer, Connected) and time.monotonic() < until:
        answer = endpoint.listen(until - time.monotonic())
    return answer if isinstance(answer, Connected) else None
