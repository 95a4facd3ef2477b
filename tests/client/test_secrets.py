"""The secrets of nodes are replaced step by step: whoever stops in between, no process loses another."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.actors.base.keyring import Keyring, fingerprint_of
from fleet.actors.messages.operator import SECRETS_MAX, GetSecrets, SetSecrets
from fleet.actors.node.operator_requests import OperatorRequests
from fleet.client.secret_api import SecretOperations
from fleet.errors import ChangeInProgress, ConfigError, FleetError, Unavailable

OLD, NEW, OTHER = (digit + b" secret of the tests, long enough" for digit in (b"1", b"2", b"3"))
NAMES = ("n1", "n2", "n3")


class Kept(Keyring):
    """As from a file, in memory."""

    def replace(self, accepted: Any) -> None:
        self._at_source = tuple(accepted)
        self.take(accepted)


def know_each_other(one: Keyring, other: Keyring) -> bool:
    return one.shown in other.accepted and other.shown in one.accepted


class Killed(BaseException):
    """The process of the operator ends here."""


@dataclass
class Nodes:
    rings: dict[str, Keyring] = field(default_factory=lambda: {name: Kept([OLD]) for name in NAMES})
    away: set[str] = field(default_factory=set)

    def answer(self, name: str, op: GetSecrets | SetSecrets, asks: Keyring) -> Any:
        if name in self.away or not know_each_other(self.rings[name], asks):
            raise Unavailable("it does not answer", node=name)
        start = SimpleNamespace(name=name, keyring=self.rings[name], supervisor=None)
        node: Any = SimpleNamespace(start=start)
        return OperatorRequests(node)._answer(op)

    def check(self) -> None:
        rings = self.rings.values()
        assert all(know_each_other(one, other) for one in rings for other in rings)

    def accepted(self) -> set[tuple[bytes, ...]]:
        return {ring.accepted for ring in self.rings.values()}


class Operator(SecretOperations):
    """A client of these. `meanwhile` is called before each change of a node, with how many there were."""

    def __init__(self, nodes: Nodes, *accepted: bytes, keeps: bool = True) -> None:
        self.yard = nodes
        self.keyring = (Kept if keeps else Keyring)(accepted)
        self.meanwhile: Callable[[int], None] = lambda changes: None
        self.changes = 0

    def cluster(self, timeout: float | None = None) -> Any:
        records = [SimpleNamespace(name=name, address=name) for name in self.yard.rings]
        return SimpleNamespace(view=SimpleNamespace(nodes=records))

    def _ask_soon(self, op: Any, group: str, address: str, repeats: bool, timeout: float | None) -> Any:
        future = Future[Any]()
        try:
            future.set_result(self.yard.answer(address, op, self.keyring))
        except FleetError as error:
            future.set_exception(error)
        return future

    def _ask(self, op: Any, group: str = "", address: str = "", timeout: float | None = None) -> Any:
        self.meanwhile(self.changes)
        self.changes += 1
        value = self._ask_soon(op, group, address, True, timeout).result()
        self.yard.check()
        return value


@pytest.fixture
def nodes() -> Nodes:
    return Nodes()


@pytest.mark.parametrize("secret", [NEW, NEW.decode()])
def test_all_nodes_show_the_secret_that_is_given(nodes: Nodes, secret: bytes | str) -> None:
    operator = Operator(nodes, OLD)
    told = operator.rotate_secret(secret)
    assert nodes.accepted() == {(NEW, OLD)} == {operator.keyring.accepted}
    assert {node.accepted for node in told} == {(fingerprint_of(NEW), fingerprint_of(OLD))}
    operator.retire_secrets()
    assert nodes.accepted() == {(NEW,)} == {operator.keyring.accepted}


@pytest.mark.parametrize("keeps", [True, False], ids=["own file", "variable"])
@pytest.mark.parametrize("change", range(2 * len(NAMES)))
def test_whoever_has_the_secret_goes_on_where_another_was_killed(
    nodes: Nodes, change: int, keeps: bool
) -> None:
    """Also if nothing is left of the first but the secret that it was given."""

    def kill(changes: int) -> None:
        if changes == change:
            raise Killed

    first = Operator(nodes, OLD, keeps=keeps)
    first.keyring.take((OLD, NEW))  # as the command does
    first.meanwhile = kill
    with pytest.raises(Killed):
        first.rotate_secret(NEW)
    nodes.check()
    left = first.keyring._at_source
    assert (NEW in left) == (keeps and change >= len(NAMES))  # in its own file before any node shows it
    second = Operator(nodes, *left, keeps=keeps)
    second.keyring.take((OLD, NEW))
    second.rotate_secret(NEW)
    assert nodes.accepted() == {(NEW, OLD)} == {second.keyring.accepted}
    assert second.keyring.is_kept == keeps


@pytest.mark.parametrize("change", range(1, 2 * len(NAMES)))
def test_a_node_that_goes_away_leaves_the_rotation_to_be_repeated(nodes: Nodes, change: int) -> None:
    operator = Operator(nodes, OLD)

    def leave(changes: int) -> None:
        if changes == change:
            nodes.away.add("n3")

    operator.meanwhile = leave
    with pytest.raises(Unavailable):
        operator.rotate_secret(NEW)
    operator.meanwhile = lambda changes: None
    with pytest.raises(Unavailable, match="n3 does not answer"):
        operator.rotate_secret(NEW)
    with pytest.raises(Unavailable, match="n3 does not answer"):
        operator.retire_secrets()
    nodes.check()
    nodes.away.clear()
    operator.rotate_secret(NEW)
    assert nodes.accepted() == {(NEW, OLD)}


@pytest.mark.parametrize("change", range(2 * len(NAMES)))
def test_of_two_rotations_at_once_one_is_refused_and_nobody_is_cut_off(nodes: Nodes, change: int) -> None:
    """Wherever the other comes in between. It is taken back, or gone on with."""
    one, other = Operator(nodes, OLD), Operator(nodes, OLD)
    refused: list[FleetError] = []

    def rotate(changes: int) -> None:
        if changes == change:
            with pytest.raises(FleetError) if changes else nullcontext():
                other.rotate_secret(OTHER)

    one.meanwhile = rotate
    try:
        one.rotate_secret(NEW)
    except FleetError as error:
        refused.append(error)
    nodes.check()
    assert len(refused) == (change == 0)
    shown = OTHER if refused else NEW
    assert {ring.shown for ring in nodes.rings.values()} == {shown}


def test_a_node_whose_secrets_are_others_than_the_operator_knows_changes_nothing(nodes: Nodes) -> None:
    request = SetSecrets((OLD, NEW), (fingerprint_of(OLD),))
    nodes.rings["n1"].replace((OLD, OTHER))
    with pytest.raises(ChangeInProgress, match="others by now.*n1"):
        nodes.answer("n1", request, Keyring([OLD]))
    assert nodes.rings["n1"].accepted == (OLD, OTHER)


def test_what_a_rotation_has_begun_on_some_nodes_is_taken_back_by_retiring(nodes: Nodes) -> None:
    """By who does not know its secret."""
    nodes.rings["n1"].replace((OLD, OTHER))
    operator = Operator(nodes, OLD)
    with pytest.raises(ConfigError, match="n1 accepts a secret that this client does not know.* by retiring"):
        operator.rotate_secret(NEW)
    operator.retire_secrets()
    assert nodes.accepted() == {(OLD,)}
    operator.rotate_secret(NEW)


def test_nothing_is_retired_before_all_nodes_show_what_the_client_shows(nodes: Nodes) -> None:
    for ring in nodes.rings.values():
        ring.replace((NEW, OLD))
    with pytest.raises(ConfigError, match="connect with the secret that the nodes show: n1 shows"):
        Operator(nodes, OLD, NEW).retire_secrets()
    nodes.rings["n3"].replace((OLD, NEW))
    with pytest.raises(ConfigError, match="rotate first, so that all show one"):
        Operator(nodes, NEW, OLD).retire_secrets()
    assert nodes.accepted() == {(NEW, OLD), (OLD, NEW)}


def test_a_node_that_learns_another_secret_between_the_steps_is_told_of(nodes: Nodes) -> None:
    """It raised a KeyError."""
    operator = Operator(nodes, OLD)
    learns = operator._hold

    def hold(accepted: tuple[bytes, ...]) -> None:
        learns(accepted)
        nodes.rings["n2"].replace((OLD, NEW, OTHER))

    operator._hold = hold  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="n2 accepts a secret that this client does not know"):
        operator.rotate_secret(NEW)


def test_more_secrets_than_a_node_takes_are_refused_before_any_is_changed(nodes: Nodes) -> None:
    """A node cannot decode such a request."""
    many = [OLD, *(b"%d" % number + OLD for number in range(1, SECRETS_MAX))]
    nodes.rings["n2"].replace(many)
    with pytest.raises(ConfigError, match="n2 accepts 8 secrets: retire"):
        Operator(nodes, *many).rotate_secret(NEW)
    with pytest.raises(ConfigError, match="at most 4096 bytes"):
        Operator(nodes, *many).rotate_secret(NEW * 200)
    assert nodes.accepted() == {(OLD,), tuple(many)}
