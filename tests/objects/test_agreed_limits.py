"""What members decide by limits is the same on all, however long their encodings are."""

from typing import Any

import pytest

import fleet
from fleet.errors import KeysFull, NotDone
from fleet.objects import applier
from fleet.objects.keyed import keyed_encoder
from fleet.objects.payload import PICKLED, decode_result, encode_call
from fleet.objects.weights import BASE, FAILED, OPAQUE
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands
from fleet.raft.keys import KEY_OVERHEAD
from fleet.raft.sessions import DONE, STALE
from tests.objects.test_reminders import Group


class Padded:
    """Its encoding has a length that depends on the process."""

    padding = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return _padded, (bytes(self.padding),)


def _padded(padding: bytes) -> Padded:
    return Padded()


class Effects(fleet.LeaderHooks["Desk"]):
    def on_effect(self, effect: fleet.Event) -> None: ...


class Desk(fleet.Data, hooks=Effects):
    called: list[str] = []

    @fleet.command
    def echo(self, value: Any) -> Any:
        return value

    @fleet.command
    def refuse(self, value: Any) -> None:
        raise fleet.Reject(value)

    @fleet.command
    def fail(self) -> None:
        raise ValueError("?" * Padded.padding)

    @fleet.command
    def pack(self) -> Padded:
        return Padded()

    @fleet.command
    def say(self, words: str) -> None:
        fleet.ctx.emit("said", words)

    @fleet.command
    def plan(self, word: str) -> None:
        fleet.ctx.remind("later", word, after=60)

    @fleet.reminder("later")
    def _later(self, word: str) -> None:
        self.called.append(word)


def be_verbose(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this process encodes in a longer form, as another version might."""
    monkeypatch.setattr(Padded, "padding", 500)
    for name in ("encode_ok", "encode_rejected"):
        encode = getattr(PICKLED, name)
        longer = staticmethod(lambda value, encode=encode: encode(value) + bytes(500))
        monkeypatch.setattr(type(PICKLED), name, longer)


def answer(value: bytes) -> str:
    """In short, as the caller is told."""
    try:
        return type(decode_result(value)).__name__
    except NotDone as error:
        return str(error)
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("method", "args", "weight"),
    [
        ("echo", ("x" * 100,), BASE + 100),
        ("echo", ([1, 2],), 3 * BASE),
        ("pack", (), OPAQUE),
        ("refuse", ("x" * 100,), BASE + 100),
        ("fail", (), FAILED),
        ("echo", (), FAILED),
        ("unknown", (), FAILED),
        ("say", ("x" * 1500,), FAILED),  # more than may wait for on_effect
    ],
)
def test_members_that_encode_differently_refuse_the_same_keys(
    method: str, args: tuple[Any, ...], weight: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with longer encodings refused commands that the others executed."""
    monkeypatch.setattr(applier, "EFFECTS_WEIGHT_MAX", 1000)
    config = GroupConfig(keys_bytes_max=5 * (KEY_OVERHEAD + 2 + weight))
    calls = [keyed_encoder(encode_call, f"{n}", None)(method, args, {}) for n in range(10, 20)]
    one = Group(config, Desk)
    told = [answer(value) for call in calls for value in one.send(call, keyed=True)]
    be_verbose(monkeypatch)
    other = Group(config, Desk)
    assert [answer(value) for call in calls for value in other.send(call, keyed=True)] == told
    assert ["too many keys" in words for words in told] == [False] * 5 + [True] * 5
    kept = [list(group.applier.keys.results.values()) for group in (one, other)]
    assert [result.weight for result in kept[0]] == [result.weight for result in kept[1]]
    assert {result.weight for result in kept[0]} == {KEY_OVERHEAD + 2 + weight}
    again = Group(config, Desk)
    again.applier.restore(other.applier.dump())
    again.seq = other.seq
    assert again.applier.keys.weight == one.applier.keys.weight
    with pytest.raises(KeysFull):
        decode_result(*again.send(calls[9], keyed=True))


def test_a_repeated_command_is_executed_once_whatever_members_have_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The results that a session keeps are limited by their bytes, since they fill the memory."""
    config, pack = GroupConfig(session_bytes_max=1000), encode_call("pack", (), {})
    members = Group(config, Desk), Group(config, Desk)
    told = []
    for member, padding in zip(members, (0, 500), strict=True):
        monkeypatch.setattr(Padded, "padding", padding)
        for _ in range(3):
            member.send(pack)
        again = Commands(member.session, 1, 0, member.now_ms, (pack,) * 3)
        told.append([outcomes.status for outcomes in member.feed(again)])
        assert member.applier.revision == 3
    assert told == [[DONE] * 3, [STALE, STALE, DONE]]


def test_after_how_many_results_a_member_pauses_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It pauses by their bytes."""
    monkeypatch.setattr(applier, "EFFECTS_WEIGHT_MAX", 2000)
    calls = [encode_call("say", (letter * 100,), {}) for letter in "abcdefghijklmnopqrst"]
    calls[5:5] = [encode_call("say", ("x" * 3000,), {}), encode_call("fail", (), {})]
    calls += [encode_call("plan", (letter,), {}) for letter in "abc"]
    members = Group(cls=Desk), Group(cls=Desk)
    told = []
    for member, bytes_max in zip(members, (1 << 20, 1), strict=True):
        monkeypatch.setattr(applier, "RESULTS_BYTES_MAX", bytes_max)
        told.append(member.send(*calls))
    assert told[0] == told[1]
    kept = [(one.applier.events.kept(), one.applier.reminders.kept()) for one in members]
    assert kept[0] == kept[1] and 5 < members[0].applier.events.pending < 20
    parts = [len(session.results) for one in members for session in one.applier.sessions.sessions.values()]
    assert parts == [1, len(calls)]
