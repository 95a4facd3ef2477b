"""A founder whose directory is an older copy: it continues as another disk, also in the founding."""

from typing import Any
from unittest.mock import Mock

import pytest

from fleet.actors.messages.peer import OlderCopy
from fleet.actors.node.cluster_membership import FOUND_AGAIN_MS
from fleet.cluster.founding_messages import (
    Ballot,
    Founder,
    FoundingHello,
    Prepare,
    Promise,
    fingerprint,
    from_bytes,
)
from fleet.errors import StorageFault
from fleet.interfaces import Chore, ChoreDone, PutMeta, Renew
from fleet.storage.writer import carry_out
from tests.support.node_bench import N1, N2, NodeBench

BALLOT = Ballot(7, "there:2", "bbbb")


def founders(bench: NodeBench) -> tuple[str, ...]:
    return (bench.kernel.endpoint, "there:2", "there:3")


def prepare(bench: NodeBench) -> Prepare:
    src = Founder(N2, "bbbb", "there:2", "z", 1.0)
    return Prepare(src, fingerprint(founders(bench)), (), BALLOT)


def to_n2(bench: NodeBench, kind: type) -> list[Any]:
    sent = bench.transport.sent
    return [message for ident, _, message in sent if ident.endpoint == "there:2" and type(message) is kind]


def done(bench: NodeBench, message: Any, kind: type[Chore]) -> list[ChoreDone]:
    """The chores of this kind that follow, carried out; the node is not told yet."""
    chores: list[Chore] = [one for one in bench.ask(bench.manager, message) if type(one) is kind]
    return [carry_out(bench.store, chore) for chore in chores]


def test_s83_a_founder_that_was_renewed_starts_again() -> None:
    """It refused its own directory (seed 803720)."""
    first = NodeBench()
    alone = (first.kernel.endpoint,)
    first.start(founders=alone)
    manager = first.kernel.instance(first.manager)
    assert manager.cluster.own() is not None
    first.ask(first.manager, OlderCopy("aaaa", 1, 8, N2))
    assert manager.nodes.me.incarnation == "aaaa-9"
    groups = first.store.groups()
    again = NodeBench(first.store)
    again.start(founders=alone)
    assert again.kernel.instance(again.manager).refusal is None
    again.advance(3)
    assert again.store.groups() == groups, "it founds no second time"


def test_s83_a_founder_that_was_renewed_creates_no_founding_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk erred when it did, and the next attempt came after the renewal."""
    bench = NodeBench()
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "create_groups", Mock(side_effect=StorageFault("it errs")))
        bench.start(founders=(bench.kernel.endpoint,))
    bench.ask(bench.manager, OlderCopy("aaaa", 1, 8, N2))
    bench.advance(2 * FOUND_AGAIN_MS / 1000)
    assert bench.store.groups() == []


@pytest.mark.parametrize("is_durable", [False, True])
def test_s83_an_older_copy_promises_nothing_in_a_founding(is_durable: bool) -> None:
    bench = NodeBench()
    bench.start(founders=founders(bench))
    bench.kernel.instance(bench.manager).disk = bench.me
    (written,) = done(bench, prepare(bench), PutMeta)
    if is_durable:
        bench.ask(bench.manager, written)
    assert len(to_n2(bench, Promise)) == is_durable
    (renewed,) = done(bench, OlderCopy("aaaa", 1, 8, N2), Renew)
    sent = len(bench.transport.sent)
    if not is_durable:
        bench.ask(bench.manager, written)
    assert done(bench, prepare(bench), PutMeta) == []
    bench.advance(0.9)
    assert len(bench.transport.sent) == sent
    (written,) = done(bench, renewed, PutMeta)
    assert isinstance(written.chore, PutMeta)
    record = from_bytes(written.chore.value)
    assert record.me == Founder(N1, "aaaa-9", bench.kernel.endpoint, "z", 1.0)
    bench.ask(bench.manager, written, prepare(bench))
    bench.advance(1)
    assert len(to_n2(bench, Promise)) == is_durable
    disks = {disk for address, disk in to_n2(bench, FoundingHello)[-1].disks if address == record.me.address}
    assert disks == {"aaaa", "aaaa-9"}
