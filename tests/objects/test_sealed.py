"""A member with other code than its group's class: it executes nothing, and loses nothing."""

from typing import Any

import pytest

import fleet
from fleet.errors import OtherCode
from fleet.objects.applied_state import dumped_object
from fleet.objects.applier import Applier
from fleet.objects.keyed import keyed_encoder
from fleet.objects.payload import encode_call
from fleet.objects.sealed import SealedState
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, EffectsDone, Entry, KeyedCommands, Noop, RemindersDue
from fleet.raft.keys import KeyTable
from tests.objects.test_reminders import START_MS, Group


class Hooks(fleet.LeaderHooks["Kept"]):
    def on_effect(self, effect: fleet.Event) -> None: ...


class Kept(fleet.Data, hooks=Hooks, events_kept=5, keep_keys=3600):
    called: list[tuple[str, float]] = []

    @fleet.command
    def put(self, *words: str) -> None:
        for word in words:
            fleet.ctx.emit("put", word)
            fleet.ctx.remind("later", word, key=word, after=60)

    @fleet.reminder("later")
    def _later(self, word: str) -> None:
        self.called.append((word, fleet.ctx.now))


def sealed_from(group: Group) -> Applier:
    """Of a member that has the group's state, and other code."""
    applier = Applier(SealedState(OtherCode("the code here is another one")), GroupConfig())
    applier.restore(group.applier.dump())
    return applier


def opened_from(applier: Applier) -> Group:
    """The same member once it has the code."""
    group = Group(cls=Kept)
    group.applier.restore(applier.dump())
    return group


def kept(applier: Applier) -> Any:
    return applier.events.kept(), applier.reminders.kept(), applier.keys.kept(), applier.sessions


@pytest.fixture
def group() -> Group:
    made = Group(cls=Kept)
    for number in range(4):
        made.call("put", f"a{number}", f"b{number}")
    return made


def test_what_it_was_given_is_what_it_gives(group: Group) -> None:
    applier = sealed_from(group)
    assert applier.dump() == group.applier.dump()
    assert (applier.events.pending, len(applier.reminders.reminders)) == (8, 8)
    assert kept(opened_from(applier).applier) == kept(group.applier)


def test_a_skipped_command_leaves_a_group_unused_with_and_without_the_code() -> None:
    """With it the object was dumped from then on, without it nothing: they would begin a later class
    otherwise."""
    group = Group(cls=Kept)
    sealed = sealed_from(group)
    for one in (group.applier, sealed):
        one.skipped[one.index + 1, 0] = "hangs"
        body = Commands(group.session, group.seq + 1, 0, START_MS, (encode_call("put", ("a",), {}),))
        one.apply(Entry(1, one.index + 1, body))
    assert sealed.dump() == group.applier.dump()
    assert dumped_object(sealed.dump()) == b""
    group.seq += 1
    group.call("put", "b")
    assert dumped_object(group.applier.dump())


def test_acknowledged_events_stay_for_those_who_watch(group: Group) -> None:
    """A limit of none was taken for that of the class: all but the newest were forgotten."""
    applier = sealed_from(group)
    done = EffectsDone(*group.applier.events.events[5].position)
    for one in (group.applier, applier):
        one.apply(Entry(1, one.index + 1, done))
    assert (group.applier.events.pending, applier.events.pending) == (2, 2)
    assert len(applier.events.events) >= len(group.applier.events.events) == 4
    opened = opened_from(applier)
    assert kept(opened.applier) == kept(group.applier)
    opened.session, opened.seq = group.session, group.seq
    for member in (group, opened):
        member.call("put", "c")
    assert opened.applier.dump() == group.applier.dump()


def test_it_refuses_what_is_to_be_executed(group: Group) -> None:
    for body in (
        Commands(group.session, group.seq + 1, 0, START_MS, (encode_call("put", ("c",), {}),)),
        RemindersDue(START_MS + 60_000),
    ):
        applier = sealed_from(group)
        applier.apply(Entry(1, applier.index + 1, Noop()))
        with pytest.raises(OtherCode):
            applier.apply(Entry(1, applier.index + 1, body))
    applier = sealed_from(group)
    applier.apply(Entry(1, applier.index + 1, RemindersDue(START_MS + 59_999)))  # none is due
    with pytest.raises(OtherCode):
        applier.query((encode_call("get", (), {}),))
    assert "another one" in (applier.check(encode_call("put", (), {})) or "")


def test_a_skipped_command_takes_its_key_for_as_long_as_the_class_says_or_is_refused(group: Group) -> None:
    """The code alone knows how long. The key was forgotten at once: it could be used again."""
    applier = sealed_from(group)
    call, own = (
        keyed_encoder(encode_call, key, keep)("put", ("c",), {}) for key, keep in (("k", None), ("l", 60_000))
    )
    for one in (group.applier, applier):
        one.skipped.update({(one.index + 1, 0): "it hung", (one.index + 2, 0): "it hung"})
    for payload, seq in ((own, 5), (call, 6)):
        body = KeyedCommands(group.session, seq, 0, START_MS, (payload,))
        group.feed(body)
        if payload is own:
            applier.apply(Entry(1, applier.index + 1, body))
            assert kept(applier) == kept(group.applier)
        else:
            with pytest.raises(OtherCode):
                applier.apply(Entry(1, applier.index + 1, body))
    assert isinstance(applier.keys, KeyTable) and list(applier.keys.results) == ["l"]
