"""What members have kept of a group's past is read from them, and executed again from within a batch."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import msgspec
import pytest

import fleet
from fleet.actors.messages.group_states import GetHistory, History, HistoryPart, ReadBase, ReadLog
from fleet.actors.messages.operator import OpValue
from fleet.client.class_api import ClassOperations
from fleet.client.recordings import kept_by_members, recorded
from fleet.errors import ConfigError, FleetError, NoSuchGroup, NotKept, Unavailable
from fleet.objects.class_refs import encode_class
from fleet.objects.recording import RecordedBase
from fleet.objects.replay import Replay, ReplayWatcher
from fleet.raft.entries import Entry
from fleet.raft.ids import Index, MemberId
from tests.support.pasts import call, entries, recording


class Tally(fleet.Data):
    total: int = 0

    @fleet.command
    def put(self, n: int) -> int:
        self.total += n
        return self.total


LOG = entries(*[call(n) for n in range(1, 13)], cls=Tally, batch=4)
"""Entries 3, 4 and 5 hold the commands of revisions 1 to 4, 5 to 8, and 9 to 12: each puts its revision."""
TOTALS = [n * (n + 1) // 2 for n in range(13)]
"""After each revision."""


class KeepsBases(ReplayWatcher):
    def __init__(self) -> None:
        self.states: dict[Index, tuple[RecordedBase, bytes]] = {}

    def passed(self, replay: Replay) -> None:
        applier = replay.applier
        if applier.index:
            state, data_class = applier.dump(), replay.data_class
            about = applier.index, applier.index, applier.revision, 0, len(state), crc32(state), data_class
            self.states[applier.index] = RecordedBase(*about), state


Replay(recording(*LOG, cls=Tally), watcher := KeepsBases()).run()
STATES = watcher.states


@dataclass
class Member:
    """What one member has kept: its states after these entries, and the log from the first of them on."""

    name: str
    bases: tuple[Index, ...] = (0,)
    log: list[Entry] = field(default_factory=lambda: LOG)
    has_deleted: bool = False
    """What it says that it has."""

    def answer(self, op: Any) -> OpValue:
        if isinstance(op, GetHistory):
            new = RecordedBase(0, 0, 0, 0, 0, 0, b"")
            bases = tuple(STATES[index][0] if index else new for index in self.bases)
            return History(MemberId(f"{self.name}@d-1"), encode_class(Tally), bases, 5, 5, 12)
        if self.has_deleted:
            raise NotKept("that was deleted meanwhile")
        if isinstance(op, ReadBase):
            return HistoryPart(STATES[op.generation][1][op.offset : op.offset + 50])
        assert isinstance(op, ReadLog)
        return HistoryPart(msgspec.msgpack.encode([one for one in self.log if one.index >= op.first][:2]))


class Client(ClassOperations):
    """In the place of a cluster: its nodes, n1 and so on. One without a member sends a question on to
    the first that has one, which leads."""

    timeout = 2.0

    def __init__(self, *nodes: Member | str | FleetError) -> None:
        self.here = {f"n{number}": one for number, one in enumerate(nodes, 1)}

    def cluster(self, timeout: float | None = None) -> Any:
        nodes = [SimpleNamespace(name=name, address=f"{name}:1") for name in self.here]
        return SimpleNamespace(view=SimpleNamespace(nodes=nodes))

    def _addresses(self) -> list[str]:
        return [f"{name}:1" for name in self.here]

    def _ask_soon(
        self, op: Any, group: str, address: str, repeats: bool, timeout: float | None
    ) -> Future[OpValue]:
        future = Future[OpValue]()
        found = self.here[address.partition(":")[0]]
        if found == "without a member":
            found = next(one for one in self.here.values() if isinstance(one, Member))
        try:
            if isinstance(found, FleetError):
                raise found
            assert isinstance(found, Member)
            future.set_result(found.answer(op))
        except FleetError as error:
            future.set_exception(error)
        return future


# -- which member has what -------------------------------------------------------------------------


def test_each_member_is_found_once_at_its_own_node() -> None:
    client = Client("without a member", Member("n2", (3,)), Member("n3"), "without a member")
    found = kept_by_members(client, "g")
    assert [(kept.address, kept.history.member) for kept in found] == [("n3:1", "n3@d-1"), ("n2:1", "n2@d-1")]


def test_members_that_do_not_answer_are_left_out() -> None:
    (kept,) = kept_by_members(Client(Unavailable("no answer"), Member("n2"), NoSuchGroup("none")), "g")
    assert kept.address == "n2:1"
    with pytest.raises(Unavailable, match="no member of the group answers"):
        kept_by_members(Client(Unavailable("no answer"), NoSuchGroup("none")), "g")
    with pytest.raises(NoSuchGroup):
        kept_by_members(Client(NoSuchGroup("none"), NoSuchGroup("none")), "g")


def test_the_member_is_read_that_reaches_so_far_back() -> None:
    client = Client(Member("n1", (4, 5)), Member("n2", (3, 4)))
    assert client.at("g", 5, Tally).total == TOTALS[5]
    with pytest.raises(NotKept, match="revision 3 is not kept any more, the oldest that is: 4"):
        client.at("g", 3)
    with pytest.raises(NotKept, match="has come to revision 12, not 13 yet"):
        client.at("g", 13)


# -- within a batch --------------------------------------------------------------------------------


@pytest.mark.parametrize("bases", [(0,), (2,), (3,), (3, 4), (0, 3, 5)])
def test_every_revision_that_is_kept_is_seen_also_within_the_first_batch(bases: tuple[Index, ...]) -> None:
    client = Client(Member("n1", bases))
    first = STATES[bases[0]][0].revision if bases[0] else 0
    for revision in range(first, 13):
        assert client.at("g", revision, Tally).total == TOTALS[revision]
        calls = client.past_calls("g", revision + 1, revision + 2)
        assert [one.revision for one in calls] == [n for n in (revision + 1, revision + 2) if n <= 12]
        assert [one.args for one in calls] == [(one.revision,) for one in calls]
    assert [one.at for one in client.past_calls("g")] == [2.0 + 0.04 * (n // 4) for n in range(first, 12)]


@pytest.mark.parametrize("base", [0, 3])
def test_a_search_begins_within_a_batch(base: Index) -> None:
    """Where it begins nobody knows whether it became so there; after that, the command is known."""
    client = Client(Member("n1", (base,)))
    for start in range(5 if base else 1, 13):
        found = client.bisect("g", lambda tally: tally.total >= TOTALS[start], start)
        assert found is not None and (found.revision, found.was_so, found.call) == (start, True, None)
        if start < 12:
            found = client.bisect("g", lambda tally: tally.total > TOTALS[start], start)
            assert found is not None and found.call is not None
            assert (found.revision, found.was_so, found.call.args) == (start + 1, False, (start + 1,))


# -- what a member sends ---------------------------------------------------------------------------


def test_what_was_deleted_meanwhile_is_asked_for_again() -> None:
    member = Member("n1", (3,), has_deleted=True)
    asked = []

    class Deleting(Client):
        def _ask_soon(self, op: Any, *about: Any) -> Future[OpValue]:
            asked.append(type(op))
            member.has_deleted = asked.count(GetHistory) < 2
            return super()._ask_soon(op, *about)

    assert Deleting(member).at("g", 6, Tally).total == TOTALS[6]
    assert asked.count(GetHistory) == 2


@pytest.mark.parametrize(
    "log", [LOG[:3], [*LOG[:3], *LOG[4:]], LOG[4:], []], ids=["short", "a hole", "late", "empty"]
)
def test_entries_that_are_missing_are_refused(log: list[Entry]) -> None:
    with (
        pytest.raises(NotKept, match="are not in what a member sent"),
        recorded(Client(Member("n1", (2,), log)), "g", 5),
    ):
        pass


def test_a_state_that_is_cut_short_or_harmed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    base, state = STATES[3]
    for harmed, match in ((state[:-1], "ends too early"), (b"?" + state[1:], "is not what was written")):
        with monkeypatch.context() as patch, pytest.raises(NotKept, match=match):
            patch.setitem(STATES, 3, (base, harmed))
            Client(Member("n1", (3,))).at("g", 5)


# -- former code -----------------------------------------------------------------------------------


def test_a_directory_of_former_code_that_is_not_there_is_refused_before_anything_is_asked() -> None:
    for method in (Client().rehearse, Client().upgrade):
        with pytest.raises(ConfigError, match="nowhere is not a directory"):
            method("g", Tally, former="nowhere")
