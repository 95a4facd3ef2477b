"""What a change of a method breaks for those who call it."""

import pytest

from fleet.contracts.compare import changes
from fleet.contracts.difference import CALLERS, NOTHING, STATES
from tests.support.basket import BASKET, compared, contract
from tests.support.modules import Modules, modules

__all__ = ["modules"]

CALLS = [
    # what is put in place of what, what that breaks, the method, and what is said
    (
        "    @fleet.query\n    def at",
        "    @fleet.query\n    def other(self): ...\n    @fleet.query\n    def at",
        NOTHING,
        "other",
        "is a new query",
    ),
    ("def at", "def find", CALLERS, "at", "the query was renamed to find - keep at as well"),
    ("    @fleet.query\n    def at", "    def at", CALLERS, "at", "the query was removed"),
    ("@fleet.query", "@fleet.command", CALLERS, "at", "was a query and is a command"),
    ("n: int = 1", "n: int = 1, m: int = 2", NOTHING, "put", "the parameter m was added, with a default"),
    (
        "*, how",
        "*, m: int, how",
        CALLERS,
        "put",
        "the parameter m was added without a default - give it a default",
    ),
    (
        "item: Item, n",
        "item: Item, m: int = 2, n",
        CALLERS,
        "put",
        "the parameter m was added before others, which move",
    ),
    ("*, how", "*m, how", NOTHING, "put", "the parameter *m was added"),
    (", n: int = 1", "", CALLERS, "put", "the parameter n was removed - keep it"),
    (", *more: str", "", CALLERS, "wish", "the parameter *more was removed"),
    (
        "item: Item, n",
        "it: Item, n",
        CALLERS,
        "put",
        "the parameter item was renamed to it, and callers may use the name",
    ),
    ("wish: Wish, /", "one: Wish, /", NOTHING, "wish", "the parameter wish was renamed to one"),
    (
        "place: int, deep: bool = False",
        "deep: bool = False, place: int = 0",
        CALLERS,
        "at",
        "its parameters are in other places",
    ),
    ("n: int = 1", "n: int", CALLERS, "put", "the parameter n has no default any more"),
    ("place: int", "place: int = 0", NOTHING, "at", "the parameter place has a default now"),
    ("n: int = 1", "n: int = 2", NOTHING, "", "other code, with the same signatures and fields"),
    (
        "n: int = 1, *, how",
        "*, n: int = 1, how",
        CALLERS,
        "put",
        "the parameter n was positional or keyword and is keyword-only",
    ),
    (
        "self, place: int, deep",
        "self, place: int, /, deep",
        CALLERS,
        "at",
        "the parameter place was positional or keyword and is positional-only",
    ),
    (
        "wish: Wish, /, *more",
        "wish: Wish, *more",
        NOTHING,
        "wish",
        "the parameter wish is positional or keyword, was positional-only",
    ),
    ("1, *, how", "1, how", NOTHING, "put", "the parameter how is positional or keyword, was keyword-only"),
    (
        "place: int",
        "place: bool",
        CALLERS,
        "at",
        "the parameter place is bool, was int: narrower - accept what was accepted",
    ),
    ("place: int", "place: str", CALLERS, "at", "the parameter place is str, was int: another one"),
    ("place: int", "place: int | str", NOTHING, "at", "the parameter place is int | str, was int"),
    ("place: int", "place", NOTHING, "at", "the parameter place is not annotated, was int"),
    ("*more: str", "*more: 'no name'", CALLERS, "wish", "the parameter more is no name, was str"),
    ('Literal["a", "b"]', 'Literal["a"]', CALLERS, "put", "narrower"),
    ('Literal["a", "b"]', "str", NOTHING, "put", "the parameter how is str"),
    ('"int | None"', "int", NOTHING, "at", "returns int, was int | None"),
    ('= "a") -> int', '= "a") -> int | None', CALLERS, "put", "returns int | None, was int: wider"),
    ('= "a") -> int', '= "a") -> str', CALLERS, "put", "returns str, was int: another one"),
    ('= "a") -> int', '= "a")', NOTHING, "put", "returns not annotated, was int"),
    (
        "class Wish:\n    name: str",
        "class Wish:\n    name: str\n    n: int",
        CALLERS,
        "Wish.n",
        "the field is new, and what is stored lacks it",
    ),
    (
        "class Wish:\n    name: str",
        "class Wish:\n    name: str\n    n: int = 1",
        NOTHING,
        "Wish.n",
        "where it is not stored it has its default",
    ),
    (
        "class Wish:\n    name: str",
        "class Wish:\n    title: str",
        CALLERS,
        "Wish.name",
        "was renamed to title, it seems",
    ),
]


@pytest.mark.parametrize(("old", "new", "breaks", "where", "says"), CALLS)
def test_what_a_difference_breaks_for_callers(
    modules: Modules, old: str, new: str, breaks: str, where: str, says: str
) -> None:
    found = compared(modules, (old, new))
    assert [one for one in found if (one.breaks, one.where) == (breaks, where) and says in str(one)], found
    assert {one.breaks for one in found} <= {NOTHING, breaks}


REMINDERS = [
    ('    @fleet.reminder("put off")\n    def later', "    def later", STATES, "it was removed"),
    ('reminder("put off")', 'reminder("put away")', STATES, "it was removed; those that are set fail"),
    ("item: Item) -> None:", "item: Item, n: int) -> None:", STATES, "was added without a default"),
    ("item: Item) -> None:", "item: Item, n: int = 1) -> None:", NOTHING, "was added, with a default"),
]


@pytest.mark.parametrize(("old", "new", "breaks", "says"), REMINDERS)
def test_what_a_difference_breaks_for_reminders_that_are_set(
    modules: Modules, old: str, new: str, breaks: str, says: str
) -> None:
    before = (
        BASKET + '\n    @fleet.reminder("put off")\n    def later(self, item: Item) -> None:\n        pass\n'
    )
    found = changes(contract(modules, before), contract(modules, before.replace(old, new)))
    known = [one for one in found if one.where == "reminder put off"]
    assert [one for one in known if one.breaks == breaks and says in str(one)], found
