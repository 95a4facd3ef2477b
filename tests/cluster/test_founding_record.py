"""The durable record of a founding: what it binds, and how it outlives a restart."""

import random
from collections.abc import Iterator

import msgspec
import pytest

from fleet.cluster.founding import Founding
from fleet.cluster.founding_messages import (
    Accept,
    Ballot,
    Decided,
    Join,
    Prepare,
    Record,
    Vote,
    cluster_id,
    fingerprint,
    from_bytes,
    to_bytes,
)
from fleet.errors import ConfigError, Damaged
from tests.cluster.founding_bench import FIVE, OF_B, OF_C, THREE, A, B, Bench, C
from tests.cluster.founding_world import node

# -- the record ------------------------------------------------------------------------------------


def records() -> Iterator[Record]:
    fresh = Record(A, fingerprint(THREE), (("a:1", "a-d1"),))
    yield fresh
    yield msgspec.structs.replace(fresh, promised=OF_C, accepted=Vote(OF_B, (A, B)))
    yield msgspec.structs.replace(fresh, decided=(A, B))
    yield msgspec.structs.replace(fresh, joined=Join("x1", ("x:1",)))


@pytest.mark.parametrize("record", list(records()))
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert from_bytes(to_bytes(record)) == record


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x09abc", to_bytes(next(records()))[:-1]])
def test_a_damaged_record_is_no_record(data: bytes) -> None:
    with pytest.raises(Damaged):
        from_bytes(data)


RENEWED = node("a", "d1-9")
"""An older copy of the directory of A, which continues with an incarnation of its own."""


def test_s83_a_renewed_disk_knows_what_was_decided_and_is_no_founder() -> None:
    *_, decided, joined = records()
    assert Bench(RENEWED, record=decided).outcomes == [Join(cluster_id((A, B)), ("a:1", "b:1"))]
    assert Bench(RENEWED, record=joined).outcomes == [joined.joined]


def test_s83_a_renewed_disk_has_no_vote_in_a_founding_under_way() -> None:
    """The copy may have forgotten promises."""
    _, promised, *_ = records()
    bench = Bench(RENEWED, record=promised)
    disks = (("a:1", "a-d1"), ("a:1", "a-d1-9"))
    assert bench.written == [Record(RENEWED, fingerprint(THREE), disks)]
    later = Ballot(9, "c:1", C.incarnation)
    assert bench.step(bench.said(C, Prepare, later)) == []
    assert bench.step(bench.said(C, Accept, later, (A, C))) == []
    assert any("a:1 lost its disk, or its disk was copied" in one for one in bench.part.problems())
    bench.step(bench.said(C, Decided, (A, C)))
    assert bench.outcomes == [Join(cluster_id((A, C)), ("a:1", "c:1"))]


def test_a_promise_binds_to_the_list_and_the_address() -> None:
    """Else it would be one vote under two names."""
    fresh, promised, *_ = records()
    moved = node("a", address="b:1")
    assert Founding(A, FIVE, 0, random.Random(1), fresh).record.list_id == fingerprint(FIVE)
    assert Founding(moved, THREE, 0, random.Random(1), fresh).record.disks == (("b:1", "a-d1"),)
    for me, listed in ((A, FIVE), (moved, THREE)):
        with pytest.raises(ConfigError, match="changed while"):
            Founding(me, listed, 0, random.Random(1), promised)


def test_the_clusters_name_does_not_depend_on_how_a_weight_was_written() -> None:
    whole = msgspec.structs.replace(A, weight=1)
    assert cluster_id((whole, B)) == cluster_id((A, B)) != cluster_id((A, C))
