"""Weights, by which limits go: of the value alone, the same on every member."""

import pickle
import re
from array import array
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

import fleet
from fleet.errors import EffectsFull
from fleet.objects import applier
from fleet.objects.payload import PICKLED, encode_call
from fleet.objects.weights import BASE, DEPTH_MAX, OPAQUE, WEIGHT_MAX, weight_of
from fleet.raft import reminders
from tests.objects.test_reminders import Group

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
HASHABLE = SCALARS | st.tuples(SCALARS, SCALARS) | st.frozensets(SCALARS, max_size=4)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
    ),
)


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Slotted:
    name: str
    parts: list[Any]


class Plain:
    def __init__(self, name: str) -> None:
        self.name = name


class Own:
    """Keeps a cache that others have not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cache = "x" * 1000

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name}


class Packed(Struct):
    name: str
    count: int


class Color(Enum):
    RED = "r" * 1000


class Level(IntEnum):
    LOW = 1


@settings(max_examples=50)
@given(VALUES)
def test_whatever_was_encoded_and_decoded_weighs_the_same(value: Any) -> None:
    for protocol in (2, 4, 5):
        assert weight_of(pickle.loads(pickle.dumps(value, protocol))) == weight_of(value)
    assert weight_of(cloudpickle.loads(cloudpickle.dumps(value))) == weight_of(value)


@given(st.lists(SCALARS, max_size=8), st.randoms())
def test_the_order_of_sets_and_dicts_counts_for_nothing(parts: list[Any], random: Any) -> None:
    mixed = random.sample(parts, len(parts))
    assert weight_of(parts) == weight_of(mixed)
    keys = list(map(repr, parts))
    other = random.sample(keys, len(keys))
    assert weight_of(set(keys)) == weight_of(set(other)) == weight_of(frozenset(other))
    assert weight_of(dict.fromkeys(keys)) == weight_of(OrderedDict.fromkeys(other))


def test_one_object_in_two_places_weighs_as_two_equal_ones() -> None:
    """Interning, and a member that began with a snapshot, make one of two or two of one."""
    part = ["some", "text"]
    assert weight_of([part, part]) == weight_of([["some", "text"], ["some", "text"]])
    assert weight_of({"a": part, "b": (part,)}) == weight_of({"a": list(part), "b": (list(part),)})
    assert len(pickle.dumps([part, part])) != len(pickle.dumps([part, list(part)]))


def test_it_is_about_the_bytes_that_a_value_takes() -> None:
    assert weight_of(None) == weight_of(True) == weight_of(1) == weight_of(1.5) == BASE
    assert weight_of("x" * 100) == weight_of(b"x" * 100) == weight_of(bytearray(100)) == BASE + 100
    assert weight_of("é" * 100) == weight_of("\ud800" * 100) == BASE + 400
    assert weight_of(1 << 8000) == BASE + 1000
    assert weight_of(array("d", [0.0] * 100)) == BASE + 800
    assert weight_of([1, "ab", {"k": (2.0,)}]) == 6 * BASE + BASE + 2 + 1


def test_objects_weigh_as_much_as_their_state() -> None:
    text = "x" * 100
    for made in (Plain(text), Slotted(text, []), Packed(text, 5), Own(text), Point(1 << 800, 2)):
        assert 100 < weight_of(made) < 160
        assert weight_of(made) == weight_of(pickle.loads(pickle.dumps(made)))
    assert weight_of(deque([1, 2])) == weight_of([1, 2])


@pytest.mark.parametrize(
    "value",
    [datetime.now(), Decimal("1.5"), UUID(int=5), Path("/tmp/x"), Color.RED, Plain, len, partial(len), re],
)
def test_what_is_not_looked_into_weighs_the_same_in_every_version_of_python(value: Any) -> None:
    assert weight_of(value) == OPAQUE


def test_members_of_an_int_enum_weigh_as_numbers() -> None:
    assert weight_of(Level.LOW) == BASE


def test_an_object_whose_state_cannot_be_had_has_a_weight() -> None:
    class Broken:
        def __getstate__(self) -> Any:
            raise ValueError("not now")

    class Short:
        def __getstate__(self) -> Any:
            raise MemoryError

    assert weight_of([Broken()]) == BASE + OPAQUE
    with pytest.raises(MemoryError):  # it may have memory on another member
        weight_of(Short())


def test_states_that_are_made_when_they_are_asked_for_are_not_taken_for_one_another() -> None:
    class Fresh:
        def __init__(self, *sizes: int) -> None:
            self.sizes = sizes

        def __getstate__(self) -> Any:
            return [[bytes(size)] for size in self.sizes]

    made = [Fresh(*range(number, number + 20)) for number in range(50)]
    assert weight_of(made) == weight_of([[one.__getstate__()] for one in made])


def test_a_value_that_holds_itself_has_a_weight_and_one_as_deep_ends_no_stack() -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    assert weight_of(ring) == weight_of(pickle.loads(pickle.dumps(ring))) <= 2 * BASE * DEPTH_MAX
    deep: Any = "bottom"
    for _ in range(50_000):
        deep = [deep]
    assert weight_of(deep) == BASE * DEPTH_MAX


def test_a_value_that_holds_itself_weighs_the_same_from_wherever_its_parts_are_met_first() -> None:
    one: dict[str, Any] = {}
    other = {"long name": one}
    one.update(a=other, b=one)
    turned: dict[str, Any] = {}
    turned.update(b=turned, a={"long name": turned})
    assert weight_of(one) == weight_of(turned)


def test_parts_that_occur_over_and_over_take_no_time() -> None:
    value: Any = ["x"]
    for _ in range(60):
        value = [value, value]
    assert weight_of(value) == WEIGHT_MAX
    wide = [list(range(100))] * 100_000
    assert weight_of(wide) == 100_000 * (101 * BASE) + BASE


# -- what members decide ---------------------------------------------------------------------------


class Loud(fleet.Data, events_bytes_kept=2000):
    called: list[str] = []

    @fleet.command
    def say(self, words: Any) -> None:
        fleet.ctx.emit("said", words)

    @fleet.command
    def plan(self, *words: str) -> None:
        for word in words:
            fleet.ctx.remind("later", {word}, key=word, after=60)

    @fleet.reminder("later")
    def _later(self, words: Any) -> None:
        self.called.append(words)


class Effects(fleet.LeaderHooks["Told"]):
    def on_effect(self, effect: fleet.Event) -> None: ...


class Told(Loud, hooks=Effects):
    pass


def verbose(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """From now on this process encodes in a longer form, as another version might."""
    for name in ("encode_event", "encode_call"):
        encode = getattr(PICKLED, name)
        monkeypatch.setattr(PICKLED, name, lambda *args, encode=encode: encode(*args) + bytes(count))


def on_both(monkeypatch: pytest.MonkeyPatch, cls: type[fleet.Data], *calls: bytes) -> tuple[Group, Group]:
    """Two members that encode differently, after these commands. They have answered the same."""
    one = Group(cls=cls)
    answers = [one.send(call) for call in calls]
    with monkeypatch.context() as patch:
        verbose(patch, 500)
        other = Group(cls=cls)
        assert [other.send(call) for call in calls] == answers
    return one, other


def places(group: Group) -> list[Any]:
    return [event.position for event in group.applier.events.events]


def test_members_that_encode_differently_keep_the_same_events(monkeypatch: pytest.MonkeyPatch) -> None:
    says = [encode_call("say", ({"x" * 100, str(number)},), {}) for number in range(20)]
    one, other = on_both(monkeypatch, Loud, *says)
    assert places(one) == places(other) and 5 < len(places(one)) < 20
    kept = one.applier.events, other.applier.events
    assert [log.forgotten for log in kept] == [kept[0].forgotten] * 2
    assert sum(event.size for event in kept[1].events) > 2 * sum(event.size for event in kept[0].events)
    again = Group(cls=Loud)
    again.applier.restore(other.applier.dump())
    assert again.applier.events.weight == kept[0].weight == sum(event.weight for event in kept[0].events)


def test_members_that_encode_differently_refuse_the_same_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applier, "EFFECTS_WEIGHT_MAX", 2000)
    says = [encode_call("say", ("x" * 100,), {}) for _ in range(20)]
    one, other = on_both(monkeypatch, Told, *says)
    assert places(one) == places(other) and 5 < one.applier.events.pending < 20
    with pytest.raises(EffectsFull):
        one.call("say", "x" * 100)


def test_members_that_encode_differently_refuse_the_same_reminders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reminders, "WEIGHT_MAX", 2000)
    plans = [encode_call("plan", (f"{number}" * 50,), {}) for number in range(10, 30)]
    one, other = on_both(monkeypatch, Loud, *plans)
    tables = one.applier.reminders, other.applier.reminders
    assert [list(table.by_key) for table in tables] == [list(tables[0].by_key)] * 2
    assert 4 < len(tables[0].reminders) < 20 and tables[0].weight == tables[1].weight
    again = Group(cls=Loud)
    again.applier.restore(other.applier.dump())
    assert again.applier.reminders.weight == tables[0].weight
