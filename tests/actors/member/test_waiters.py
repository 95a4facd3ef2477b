"""The parts in which commands and their outcomes travel."""

import pytest

from fleet.actors.member.waiters import part_of, runs, seqs_of
from fleet.objects.applier import Outcomes
from fleet.raft.entries import Commands
from fleet.raft.sessions import DONE, EXPIRED

ABC = (b"a", b"bb", b"ccc")


@pytest.mark.parametrize(
    ("without", "bytes_max", "parts"),
    [
        ((), 6, [(5, ABC)]),
        ((), 5, [(5, (b"a", b"bb")), (7, (b"ccc",))]),
        ((), 1, [(5, (b"a",)), (6, (b"bb",)), (7, (b"ccc",))]),
        ((5,), 99, [(6, (b"bb", b"ccc"))]),
        ((6,), 99, [(5, (b"a",)), (7, (b"ccc",))]),
        ((7,), 99, [(5, (b"a", b"bb"))]),
        ((5, 6, 7), 99, []),
    ],
)
def test_payloads_are_divided_where_one_is_left_out_and_where_they_are_too_many(
    without: tuple[int, ...], bytes_max: int, parts: list[tuple[int, tuple[bytes, ...]]]
) -> None:
    assert list(runs(5, ABC, without, bytes_max)) == parts


def test_each_outcome_keeps_its_number_and_its_revision() -> None:
    outcomes = Outcomes(1, 5, DONE, 40, ABC)
    assert part_of(outcomes, 1, 3) == Outcomes(1, 6, DONE, 41, (b"bb", b"ccc"))
    assert part_of(Outcomes(1, 5, EXPIRED, 0, (b"", b"")), 1, 2) == Outcomes(1, 6, EXPIRED, 0, (b"",))
    assert seqs_of(outcomes) == seqs_of(Commands(1, 5, 0, 0, ABC)) == range(5, 8)
