"""The state of a group at an earlier revision, also within a batch: with its keys, reminders and effects."""

from pathlib import Path

import pytest
from msgspec.structs import replace

import fleet
from fleet.client import past_states
from fleet.client.backup_file import BackupWriter, new_head
from fleet.client.past_states import past_state, save_past, saved_past_state
from fleet.cluster.state import GroupInfo
from fleet.errors import NotKept
from fleet.objects.applied_state import AppliedState, decode_state
from fleet.objects.class_refs import encode_class
from fleet.objects.keyed import keyed_payload
from fleet.objects.recording import Recording
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Body, EffectsDone, Entry, KeyedCommands, RemindersDue, Skipped
from fleet.raft.ids import Index
from tests.client.test_recordings import Client, Member, Tally
from tests.support.pasts import SESSION, call, entries, recording


class Mails(fleet.LeaderHooks["Ledger"]):
    def on_effect(self, effect: fleet.Event) -> None:
        raise AssertionError("nothing is told of the past")


class Ledger(fleet.Data, hooks=Mails):
    lines: list[str] = []

    @fleet.command
    def put(self, line: str) -> int:
        self.lines.append(line)
        if line == "half":
            raise ValueError(line)
        fleet.ctx.emit("line", line)
        fleet.ctx.remind("late", line, after=1)
        return len(self.lines)

    @fleet.reminder("late")
    def _late(self, line: str) -> None:
        self.lines.append(f"late {line}")
        fleet.ctx.remind("late", f"later {line}", after=100)


INFO = GroupInfo(
    "g", Index(1), 3, encode_class(Ledger), GroupConfig(), (), pinned=("n1",), leader="n1"  # type: ignore[arg-type]
)  # fmt: skip
BATCH = ("a", "half", "b", "c", "d")
"""The commands of revisions 1 to 5: b and c have a key, and c is skipped. Then four reminders are due, for
revisions 6 to 8."""


def keyed(line: str) -> bytes:
    return keyed_payload(f"key {line}", 0, call(line), "put", (line,), {})


def past() -> Recording:
    founded, opened = entries(cls=Ledger)
    payloads = tuple(keyed(line) if line in "bc" else call(line) for line in BATCH)
    bodies: list[Body] = [KeyedCommands(SESSION, 1, 0, 2000, payloads), Skipped(Index(3), 3, "it loops")]
    bodies += [RemindersDue(4000), EffectsDone(1, 0), EffectsDone(3, 0)]
    return recording(founded, opened, *(Entry(1, n, one) for n, one in enumerate(bodies, 3)), cls=Ledger)


def at(revision: int, monkeypatch: pytest.MonkeyPatch) -> AppliedState:
    class Recorded:
        def __init__(self, *_: object) -> None: ...

        def __enter__(self) -> Recording:
            return past()

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(past_states, "recorded", Recorded)
    saved, state = past_state(Client(), INFO, revision)
    found = decode_state(state)
    assert (saved.revision, saved.index) == (found.revision, found.index) == (revision, found.index)
    assert (saved.replicas, saved.pinned, saved.leader) == (3, ("n1",), "n1")
    return found


def test_within_a_batch_a_state_has_the_keys_events_and_reminders_of_its_commands_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Effects that were acknowledged later are not told again."""
    keys = {3: ["key b"], 4: ["key b", "key c"], 5: ["key b", "key c"]}
    for revision in range(6):
        state = at(revision, monkeypatch)
        put = [line for line in BATCH[:revision] if line not in ("half", "c")]
        assert [one.key for one in state.keys.results] == keys.get(revision, [])
        assert [one.name for one in state.reminders.reminders] == ["late"] * len(put)
        assert len(state.events.events) == len(put)
        assert state.events.done == ([(0, 0), (1, 0), (1, 0)][revision] if revision < 3 else (3, 0))
        assert [one.revision for one in state.keys.results] == list(range(3, 3 + len(keys.get(revision, []))))


def test_between_two_reminders_that_were_due_together_the_second_is_still_to_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for revision in (5, 6, 7, 8):
        dues = [one.due_ms for one in at(revision, monkeypatch).reminders.reminders]
        fired = revision - 5
        assert sorted(dues) == [3000] * (3 - fired) + [104_000] * fired


def test_a_group_that_keeps_nothing_says_so() -> None:
    client = Client(Member("n1", (3, 5)))
    info = GroupInfo("g", Index(1), 3, encode_class(Tally), GroupConfig(keep="7d"), ())
    assert past_state(client, info, 4)[0].revision == 4
    with pytest.raises(NotKept, match="^revision 3 is not kept any more, the oldest that is: 4"):
        past_state(client, info, 3)
    with pytest.raises(NotKept, match="group 'g' keeps no past, since its setting `keep` is 0: revision 3"):
        past_state(client, INFO, 3)
    for one in (info, INFO):  # no setting would help
        with pytest.raises(NotKept, match="^the group has come to revision 12, not 13 yet"):
            past_state(client, one, 13)


def test_a_revision_before_the_past_in_a_file_is_refused(tmp_path: Path) -> None:
    client = Client(Member("n1", (3, 5)))
    info = GroupInfo("g", Index(1), 3, encode_class(Tally), GroupConfig(keep="7d"), ())
    save_past(client, info, str(tmp_path / "past"))
    saved, state = past_state(client, info, 12)
    size = (tmp_path / "past").stat().st_size
    with BackupWriter(tmp_path / "file", new_head("c", 1, "0", 1), has_past=True) as writer:
        writer.begin(replace(saved, past_size=size))
        writer.add(state)
        assert writer.end()
        writer.add_past((tmp_path / "past").open("rb"))
        backup = writer.finish()
    for revision in range(4, 13):
        found, _ = saved_past_state(backup, backup.group("g"), revision)
        assert (found.revision, found.past_size) == (revision, 0)
    with pytest.raises(NotKept, match="revision 3 is not in .*, the oldest that is: 4"):
        saved_past_state(backup, backup.group("g"), 3)


@pytest.mark.parametrize("bases", [(0,), (3,), (0, 3, 5)])
def test_every_revision_has_a_state_also_the_first(bases: tuple[Index, ...]) -> None:
    client = Client(Member("n1", bases))
    for revision in range(0 if bases[0] == 0 else 4, 13):
        saved, state = past_state(client, INFO, revision)
        assert saved.revision == decode_state(state).revision == revision
        assert saved.index > 0 and saved.data_class == encode_class(Tally)
