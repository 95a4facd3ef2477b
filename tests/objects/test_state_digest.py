"""Digests of states: equal states have equal digests, in every process, and however they came about."""

import collections
import dataclasses
import datetime
import decimal
import enum
import os
import pickle
import random
import subprocess
import sys
import threading
import uuid
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.objects import state_parts
from fleet.objects.state_digest import NoDigest, digest_of, digests_of, joined
from fleet.objects.state_parts import outline_of, part_at, parts_of, parts_shown, shown


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Point(msgspec.Struct):
    x: int
    tags: set[str]


@dataclasses.dataclass
class Line:
    name: str
    colours: set[Colour]
    points: list[Point]


class Slots:
    __slots__ = ("left", "right")

    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right


class Tags(set[str]):
    pass


WORDS = [f"word {number}" for number in range(50)]


def everything() -> dict[str, Any]:
    """One of each kind of value that states hold, with many sets."""
    return {
        "set": set(WORDS),
        "sets": {frozenset(WORDS[:9]), frozenset(WORDS[5:20])},
        "mixed": {1, "1", b"1", (1, frozenset(WORDS)), None, 1.5},
        "nested": [{"deep": {"set": set(WORDS), "line": Line("a", {Colour.RED, Colour.BLUE}, [])}}],
        "line": Line("x", set(Colour), [Point(1, set(WORDS)), Point(2, set())]),
        "slots": Slots(set(WORDS), Slots(1, {"a"})),
        "mine": Tags(WORDS),
        "deque": collections.deque(WORDS, maxlen=60),
        "default": collections.defaultdict(set, {"a": set(WORDS)}),
        "ordered": collections.OrderedDict(a=1, b={2}),
        "counter": collections.Counter(WORDS),
        "when": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "exact": decimal.Decimal("1.10"),
        "half": Fraction(1, 2),
        "id": uuid.UUID(int=7),
        "random": random.Random(7),
        "class": Line,
        "function": digest_of,
        "bytes": bytearray(b"x"),
        "floats": [0.0, -0.0, 1e300, float("inf"), float("nan")],
    }


HERE = f"""
import sys; sys.path[:0] = {sys.path!r}
from tests.objects.test_state_digest import everything
from fleet.objects.state_digest import digests_of, joined
print(joined(digests_of(everything()), 7).hex())
"""


def in_process(hash_seed: int) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    command = [sys.executable, "-c", HERE]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_equal_states_have_equal_digests_whatever_the_hash_seed() -> None:
    assert {in_process(seed) for seed in (1, 2, 3)} == {joined(digests_of(everything()), 7).hex()}


def test_a_state_that_was_encoded_and_loaded_again_has_the_same_digest() -> None:
    state = everything()
    once = pickle.loads(pickle.dumps(state))
    assert digests_of(once) == digests_of(state)
    assert digests_of(pickle.loads(pickle.dumps(once, 2))) == digests_of(state)


def test_the_past_of_a_set_does_not_show() -> None:
    long = {n * 8 for n in range(100)}
    for n in range(3, 100):
        long.discard(n * 8)
    assert digest_of(long) == digest_of({16, 8, 0})
    assert digest_of([long, Colour.RED]) == digest_of([{0, 8, 16}, Colour.RED])


def test_what_is_shared_and_what_is_equal_is_the_same() -> None:
    one = ["a", set(WORDS)]
    assert digest_of([one, one]) == digest_of([["a", set(WORDS)], ["a", {*WORDS[25:], *WORDS[:25]}]])
    text = "".join(["a", "b"])
    assert digest_of([text, text]) == digest_of(["ab", "".join(["a", "b"])])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], [2, 1]),
        ([1], (1,)),
        ([True], [1]),
        ([1], [1.0]),
        ([0.0], [-0.0]),
        (["1"], [b"1"]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),  # iteration shows it
        ({1, 2}, {1, 3}),
        ({1}, frozenset({1})),
        ([[1], 2], [[1, 2]]),
        ([{Colour.RED}], [{Colour.BLUE}]),
        (Line("a", set(), []), Line("b", set(), [])),
        (Slots(1, {Colour.RED}), Slots({Colour.RED}, 1)),
        (0.1 + 0.2, 0.3),
        ([[], [Colour.RED]], [[Colour.RED], []]),
        (collections.deque([1], 2), collections.deque([1], 3)),
    ],
)
def test_different_states_have_different_digests(one: Any, other: Any) -> None:
    assert digest_of(one) != digest_of(other)


def test_a_state_that_holds_itself_has_a_digest() -> None:
    def ring() -> Any:
        held: list[Any] = [Slots(1, 2)]
        held.append({"again": held})
        return held

    assert digest_of(ring()) == digest_of(ring())
    assert digest_of(pickle.loads(pickle.dumps(ring()))) == digest_of(ring())


def test_the_order_in_which_fields_were_assigned_does_not_show() -> None:
    one, other = Line("a", set(), []), Line.__new__(Line)
    other.points, other.colours, other.name = [], set(), "a"
    assert list(vars(one)) != list(vars(other))
    assert digest_of(one) == digest_of(other)


@pytest.mark.parametrize("held", [threading.Lock(), lambda: 1, (one for one in "ab")])
def test_what_has_no_digest_is_named_with_its_field(held: Any) -> None:
    with pytest.raises(NoDigest) as caught:
        digests_of({"fine": 1, "bad": [held]})
    assert caught.value.facts["field"] == "bad"


class Pair:
    """What it pickles looks like fields and slots, or does not."""

    def __init__(self, state: Any) -> None:
        self.state, self.scratch = state, object()

    def __getstate__(self) -> Any:
        return self.state

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Both(Slots):
    """It has fields beside its slots."""


def both(**fields: Any) -> Both:
    made = Both(1, {"a", "b"})
    made.__dict__.update(fields)
    return made


def test_fields_and_slots_are_taken_by_name() -> None:
    assert digest_of(both(x=1, y=2)) == digest_of(both(y=2, x=1))
    assert digest_of(both(x=1)) != digest_of(both(x=2)) and digest_of(both()) != digest_of(Both(1, {"a"}))
    assert digest_of(Pair((None, {"a": 1, "b": 2}))) == digest_of(Pair((None, {"b": 2, "a": 1})))


@pytest.mark.parametrize(
    "state", [(1, 2), (1, {"a": 2}), ({"a": 1}, 2), (None, {3: 4}), ({"a": 1}, None), ()]
)
def test_a_state_that_only_looks_like_fields_and_slots_is_taken_as_it_is(state: Any) -> None:
    assert digest_of(Pair(state)) == digest_of(pickle.loads(pickle.dumps(Pair(state))))
    assert digest_of(Pair(state)) != digest_of(Pair((*state, 5)))
    assert list(digests_of(state)) == [""]


def test_a_state_of_slots_has_its_fields_compared_by_name() -> None:
    """Data classes have `__getstate__`, which may return what `object`'s does for slots."""
    one, other = (None, {"left": 1, "right": {"a"}}), (None, {"right": {"b"}, "left": 1})
    differ = {name for name, digest in digests_of(one).items() if digest != digests_of(other)[name]}
    assert differ == {"right"} and part_at(one, ("right",)) == {"a"}
    moved = digests_of(({"a": 1}, {})), digests_of(({}, {"a": 1}))
    assert joined(moved[0], 1) != joined(moved[1], 1)
    assert part_at(({"a": 1}, {"a": [2]}), ("[1].a", "[0]")) == 2


def test_the_parts_of_an_object_are_those_of_its_digest() -> None:
    """What `__getstate__` leaves out is of this process only."""
    assert list(parts_of(Slots(1, 2))) == [(".left", 1), (".right", 2)]
    assert list(parts_of(both(x=3))) == [(".left", 1), (".right", {"a", "b"}), (".x", 3)]
    assert list(parts_of(Pair((None, {"a": 1})))) == [(".a", 1)]
    assert list(parts_of(Pair([1]))) == list(parts_of(Colour.RED)) == list(parts_of(Line)) == []
    assert list(parts_of(threading.Lock())) == []


def test_what_is_nested_too_deeply_has_no_digest() -> None:
    deep: Any = Slots(1, 2)
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(NoDigest):
        digests_of({"deep": deep})


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(PLAIN, st.sets(st.text() | st.integers()))
def test_any_plain_state_has_the_same_digest_when_it_is_loaded_again(value: Any, elements: set[Any]) -> None:
    state = {"value": value, "elements": elements, "both": [Slots(value, elements)]}
    loaded = pickle.loads(pickle.dumps(state))
    loaded["elements"] = {*sorted(elements, key=str, reverse=True)}
    assert digests_of(loaded) == digests_of(state)


def test_the_revision_counts() -> None:
    digests = digests_of({"a": 1})
    assert joined(digests, 1) != joined(digests, 2)


def test_parts_have_labels_by_which_they_are_found_again() -> None:
    state = {"line": Line("x", set(), [Point(1, {"b", "a"})]), "book": {("a", 1): [5]}}
    labels = [label for label, _ in parts_of(state["line"])]
    assert labels == [".colours", ".name", ".points"]
    assert part_at(state, ("line", ".points", "[0]", ".x")) == 1
    assert part_at(state, ("book", "[('a', 1)]", "[0]")) == 5
    with pytest.raises(KeyError):
        part_at(state, ("line", ".nothing"))
    assert shown(part_at(state, ("line", ".points", "[0]", ".tags")), 40) == "{'a', 'b'}"
    assert shown("x" * 100, 10) == "'xxxxxx..."


def test_a_value_with_many_parts_has_slices_of_them() -> None:
    value = {f"k{number}": number for number in range(2500)}
    slices = dict(parts_of(value))
    assert list(slices) == ["[0:1000]", "[1000:2000]", "[2000:3000]"]
    assert [len(list(parts_of(one))) for one in slices.values()] == [1000, 1000, 500]
    assert part_at({"book": value}, ("book", "[1000:2000]", "['k1001']")) == 1001
    assert repr(slices["[2000:3000]"]) == "(500 parts: ['k2000'] to ['k2499'])"
    one, other = parts_shown({"book": value}, ("book",)), parts_shown({"book": value | {"k7": 0}}, ("book",))
    assert [a.label for a, b in zip(one, other, strict=True) if a.digest != b.digest] == ["[0:1000]"]
    assert len(list(parts_of(value | {"k2500": 0}))) == 3


def test_a_value_with_very_many_parts_has_slices_of_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_parts, "SLICE", 10)
    value = list(range(101))
    outer = dict(parts_of(value))
    assert list(outer) == ["[0:100]", "[100:200]"]
    assert len(list(parts_of(outer["[0:100]"]))) == 10
    assert part_at([value], ("", "[0]", "[0:100]", "[20:30]", "[29]")) == 29


def test_an_outline_has_the_parts_of_fields() -> None:
    outline = outline_of({"big": list(range(2001)), "small": {"a": [1]}, "plain": 1})
    assert [(one.label, one.has_parts) for one in outline.at(())] == [
        ("big", True), ("small", True), ("plain", False)
    ]  # fmt: skip
    assert [one.label for one in outline.at(("big",))] == ["[0:1000]", "[1000:2000]", "[2000:3000]"]
    assert [(one.label, one.has_parts) for one in outline.at(("small",))] == [("['a']", False)]
    with pytest.raises(KeyError):
        outline.at(("plain",))
