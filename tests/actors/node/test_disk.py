from typing import Any

import pytest
from thespian.actors import ActorExitRequest, WatchMessage

from fleet.actors.messages.local import AwaitWrites, StartDisk, WriteFailed, WritesDone
from fleet.actors.node.disk import Disk
from fleet.errors import StorageFault
from fleet.interfaces import Chore, ChoreDone, Completion, Write
from fleet.raft.events import Persisted
from tests.actors.base.helpers import Bench, Recorder

FD = 99
FAULT = StorageFault("the disk failed")


class HandWriter:
    """A writer whose writes are done when the test says so."""

    def __init__(self) -> None:
        self.submitted: list[Write] = []
        self.under_way: list[Write] = []
        self.done: list[Completion | ChoreDone] = []
        self.is_closed = False

    def submit(self, write: Write) -> None:
        self.submitted.append(write)
        self.under_way.append(write)

    def do(self, chore: Chore) -> None:
        raise AssertionError("no chores here")

    def fileno(self) -> int:
        return FD

    def completed(self) -> list[Completion | ChoreDone]:
        done, self.done = self.done, []
        return done

    def close(self) -> None:
        self.is_closed = True

    def finish(self, *seqs: int, error: Exception | None = None) -> None:
        done = [write for write in self.under_way if write.seq in seqs]
        self.under_way = [write for write in self.under_way if write.seq not in seqs]
        self.done.append(Completion(done, error))


class DiskBench(Bench):
    def __init__(self) -> None:
        super().__init__()
        self.writer = HandWriter()
        self.disk = self.create(Disk)
        self.ask(self.disk, StartDisk(self.writer))

    def ready(self) -> list[Any]:
        """The writer's descriptor is readable; what the member `me` is told."""
        return self.ask(self.disk, WatchMessage([FD]))

    def seqs(self) -> list[int]:
        return [write.seq for write in self.writer.submitted]


@pytest.fixture
def bench() -> DiskBench:
    return DiskBench()


def test_the_writes_of_a_turn_are_handed_over_at_its_end_in_order(bench: DiskBench) -> None:
    bench.tell(bench.disk, Write(1, 1), Write(2, 1), Write(1, 2))
    bench.kernel.run(0.0, 3)
    assert bench.seqs() == []
    bench.settle()
    assert bench.seqs() == [1, 1, 2]


def test_one_answer_tells_the_newest_of_several_writes(bench: DiskBench) -> None:
    bench.ask(bench.disk, Write(1, 1), Write(1, 2), Write(1, 3))
    bench.writer.finish(1, 2, 3)
    assert bench.ready() == [Persisted(3)]


def test_it_watches_the_writer_whatever_it_was_told_last(bench: DiskBench) -> None:
    for message in (Write(1, 1), WatchMessage([FD])):
        bench.ask(bench.disk, message)
        assert bench.transport.watched[bench.disk.addressDetails.local] == (FD,)


def test_a_failure_is_told_once_and_nothing_more_is_written_for_that_member(bench: DiskBench) -> None:
    bench.ask(bench.disk, Write(1, 1))
    bench.writer.finish(1, error=FAULT)
    (failed,) = bench.ready()
    assert isinstance(failed, WriteFailed) and "the disk failed" in failed.error
    assert bench.ask(bench.disk, Write(1, 2), Write(1, 3)) == []
    assert bench.seqs() == [1]


def test_what_waited_in_the_turn_of_the_failure_is_not_written_over_the_gap(bench: DiskBench) -> None:
    """The writer takes new writes as soon as it has told the failure."""
    bench.ask(bench.disk, Write(1, 1))
    bench.writer.finish(1, error=FAULT)
    bench.ask(bench.disk, Write(1, 2), Write(7, 5), WatchMessage([FD]))
    assert [(write.group, write.seq) for write in bench.writer.submitted] == [(1, 1), (7, 5)]


def test_the_member_that_was_started_again_may_write(bench: DiskBench) -> None:
    bench.ask(bench.disk, Write(1, 1))
    bench.writer.finish(1, error=FAULT)
    bench.ready()
    again = bench.create(Recorder)
    bench.kernel.send(bench.disk, again, Write(1, 1))
    bench.settle()
    assert bench.seqs() == [1, 1]
    bench.writer.finish(1)
    bench.ready()
    assert bench.ask(again, "what?")[0][-1] == Persisted(1)


def test_an_earlier_life_of_a_member_is_told_of_its_own_writes(bench: DiskBench) -> None:
    """Both count their writes from 1: the new one must not take an old one's for its own."""
    bench.ask(bench.disk, Write(1, 57))
    again = bench.create(Recorder)
    bench.kernel.send(bench.disk, again, Write(1, 1))
    bench.settle()
    bench.writer.finish(57)
    assert bench.ready() == [Persisted(57)]
    assert Persisted(57) not in bench.ask(again, "what?")[0]
    bench.writer.finish(1)
    assert bench.ready() == []
    assert bench.ask(again, "what?")[0][-1] == Persisted(1)


def test_a_failure_of_one_group_is_none_of_another(bench: DiskBench) -> None:
    bench.ask(bench.disk, Write(1, 1), Write(2, 1))
    bench.writer.done = [
        Completion([bench.writer.submitted[0]], FAULT),
        Completion([bench.writer.submitted[1]]),
    ]
    failed, persisted = bench.ready()
    assert (failed.group, persisted) == (1, Persisted(1))


def test_the_writer_is_closed_at_exit(bench: DiskBench) -> None:
    bench.ask(bench.disk, ActorExitRequest())
    assert bench.writer.is_closed


def test_who_waits_for_the_writes_of_a_group_is_told_after_the_last_of_them(bench: DiskBench) -> None:
    assert bench.ask(bench.disk, AwaitWrites(1)) == [WritesDone(1)]
    assert bench.ask(bench.disk, Write(1, 1), AwaitWrites(1), Write(2, 1), AwaitWrites(2)) == []
    bench.ask(bench.disk, Write(1, 2))
    bench.writer.finish(1)
    assert bench.ready() == [Persisted(1), Persisted(1), WritesDone(2)]
    bench.writer.finish(2, error=FAULT)
    assert [type(told) for told in bench.ready()] == [WriteFailed, WritesDone]
