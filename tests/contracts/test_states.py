"""What a change of a field breaks for states that are stored."""

import pytest
from msgspec import structs

from fleet.contracts.compare import changes
from fleet.contracts.difference import CALLERS, NOTHING, STATES, Difference
from fleet.errors import ConfigError, DataClassUnavailable
from fleet.objects.executor import ObjectExecutor
from tests.support.basket import BASKET, compared, contract
from tests.support.modules import Modules, modules

__all__ = ["modules"]

FIELDS = [
    (
        "total: int = 0",
        "total: int = 0\n    more: int = 0",
        NOTHING,
        "more",
        "the field is new; where it is not stored it has its default",
    ),
    (
        "self.extra = 1",
        "self.extra = self.other = 1",
        STATES,
        "other",
        "lacks it - annotate it and give it a default in the class, or raise version and define migrate",
    ),
    (
        "    total: int = 0\n",
        "",
        STATES,
        "total",
        "the field was removed; what is stored in it is lost - keep it, or raise version",
    ),
    ("total: int = 0", "amount: int = 0", STATES, "total", "the field was renamed to amount, it seems"),
    (
        "total: int = 0",
        "total: str = ''",
        STATES,
        "total",
        "the field is str, was int - accept what is stored, or raise version",
    ),
    ("total: int = 0", "total: float = 0", NOTHING, "total", "the field is float, was int"),
    (
        "    price: int = 0\n",
        "    price: int = 0\n    tax: int = 0\n",
        NOTHING,
        "Item.tax",
        "the field is new; where",
    ),
    (
        "    price: int = 0\n",
        "    price: int = 0\n    tags: list[str] = field(default_factory=list)\n",
        STATES,
        "Item.tags",
        "what is stored lacks it",
    ),
    (
        "@dataclass\nclass Item",
        "@dataclass(slots=True)\nclass Item",
        STATES,
        "Item",
        "stored in slots, was by name",
    ),
    (
        "@dataclass\nclass Item",
        "class Item(NamedTuple)",
        STATES,
        "Item",
        "it is stored by place, was by name",
    ),
    ("    price: int = 0\n", "", STATES, "Item.price", "the field was removed"),
    (
        '    next: "Size | None" = None\n',
        '    next: "Size | None" = None\n    depth: int = 0\n',
        NOTHING,
        "Size.depth",
        "the field is new; where",
    ),
    (
        '    next: "Size | None" = None\n',
        '    depth: int = 0\n    next: "Size | None" = None\n',
        STATES,
        "Size",
        "its fields are in another order",
    ),
    ("    y: int = 0\n", "    y: int = 0\n    z: int = 0\n", NOTHING, "Spot.z", "the field is new; where"),
    (
        "    y: int = 0\n",
        "    z: int = 0\n    y: int = 0\n",
        STATES,
        "Spot",
        "its fields are in another order",
    ),
    (
        "    deep: bool\n",
        "    deep: bool\n    wide: bool\n",
        NOTHING,
        "Options.wide",
        "the field is new; where",
    ),
    ("BLUE = 2", "BLUE = 3", STATES, "Colour.BLUE", "the member is 3, was 2, which is what is stored"),
    ("    BLUE = 2\n", "", STATES, "Colour.BLUE", "the member, 2, was removed - keep it"),
    ("BLUE = 2", "NAVY = 2", NOTHING, "Colour.BLUE", "the member was renamed"),
    ("BLUE = 2", "BLUE = 2\n    PINK = 3", NOTHING, "Colour.PINK", "the member is new"),
]


@pytest.mark.parametrize(("old", "new", "breaks", "where", "says"), FIELDS)
def test_what_a_difference_breaks_for_states(
    modules: Modules, old: str, new: str, breaks: str, where: str, says: str
) -> None:
    found = [one for one in compared(modules, (old, new)) if one.breaks != CALLERS]
    assert [one for one in found if (one.breaks, one.where) == (breaks, where) and says in str(one)], found
    assert {one.breaks for one in found} <= {NOTHING, breaks}


def test_nothing_is_said_of_a_class_that_stays(modules: Modules) -> None:
    assert compared(modules) == []
    assert (
        compared(modules, ("class Basket(fleet.Data):", "class Basket(fleet.Data):\n    '''Text.'''")) == []
    )


MIGRATE = "    @classmethod\n    def migrate(cls, from_version, raw):\n        return raw\n\n    @fleet.query"
RAISED = ("(fleet.Data):", "(fleet.Data, version=2):")


def test_a_higher_version_without_migrate_breaks_states(modules: Modules) -> None:
    (found,) = compared(modules, RAISED)
    assert found.breaks == STATES and "define migrate, or leave version=1" in str(found)


@pytest.mark.parametrize(("old", "new", "breaks", "where", "says"), FIELDS)
def test_with_a_higher_version_and_migrate_no_field_breaks_states(
    modules: Modules, old: str, new: str, breaks: str, where: str, says: str
) -> None:
    found = compared(modules, (old, new), RAISED, ("    @fleet.query", MIGRATE))
    assert STATES not in {one.breaks for one in found}
    assert Difference("", "version 2, was 1, with migrate") in found
    assert bool(breaks) is any("migrate has to see to it" in one.what for one in found)


def test_migrate_without_a_higher_version_mends_nothing(modules: Modules) -> None:
    found = compared(modules, ("    total: int = 0\n", ""), ("    @fleet.query", MIGRATE))
    assert [one.breaks for one in found] == [STATES]


def test_a_lower_version_breaks_states(modules: Modules) -> None:
    first, second = contract(modules, BASKET.replace(*RAISED)), contract(modules, BASKET)
    (found,) = changes(first, second)
    assert found.breaks == STATES and "states of version 2 cannot be loaded" in found.what


def test_another_codec_breaks_states(modules: Modules) -> None:
    first = contract(modules, BASKET)
    second = structs.replace(first, codec="packed")
    (found,) = changes(first, second)
    assert found.breaks == STATES and "codec packed, was cloudpickle" in found.what


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("class Basket: ...", "is not a data class"),
        (
            "import fleet\nclass Basket(fleet.Data):\n    def __init__(self):\n        1 / 0",
            "no Basket can be made: Zero",
        ),
    ],
)
def test_what_has_no_contract_is_an_error(modules: Modules, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        contract(modules, text)


SHOWN = ("is new", "lacks it", "another order", "was by name")
ADDED = [row for row in FIELDS if any(word in row[4] for word in SHOWN)]


@pytest.mark.parametrize(("old", "new", "breaks", "where", "says"), ADDED)
def test_what_is_said_of_added_fields_is_what_happens_to_a_stored_state(
    modules: Modules, old: str, new: str, breaks: str, where: str, says: str
) -> None:
    first = modules.load(basket=BASKET)
    writer = ObjectExecutor(first.Basket)
    held = writer._object
    held.items, held.sizes, held.spot = [first.Item("a", 2)], [first.Size(3, first.Size(6))], first.Spot(4, 5)
    state = writer.dump()
    second = modules.load(basket=BASKET.replace(old, new))
    reader = ObjectExecutor(second.Basket)

    def read() -> None:
        reader.load(state)
        found = reader._object
        (item,), (size,), spot = found.items, found.sizes, found.spot
        assert (item.name, item.price, size.width, size.next.width, spot.x, spot.y) == ("a", 2, 3, 6, 4, 5)
        for holder, names in ((item, "tax tags"), (size, "depth"), (spot, "z"), (found, "more other")):
            for name in set(names.split()) & set(new.replace(":", " ").replace(".", " ").split()):
                getattr(holder, name)

    if breaks:
        with pytest.raises((AttributeError, AssertionError, DataClassUnavailable)):
            read()
    else:
        read()


SLOTS = "@dataclass(slots=True, frozen=True)\nclass Pair:\n    a: int\n    b: int = 0\n"
PAIR = f"from dataclasses import dataclass\nimport fleet\n{SLOTS}class Basket(fleet.Data):\n"
PAIR += "    pair: Pair | None = None\n"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("a: int\n", "c: int\n    a: int\n", "Pair: its fields are in another order"),
        (
            "b: int = 0\n",
            "b: int = 0\n    c: int = 0\n",
            "Pair.c: the field is new, and what is",
        ),
        ("(slots=True, frozen=True)", "(slots=True)", "Pair: it is stored in slots, was by place"),
    ],
)
def test_frozen_slots_are_stored_by_place(modules: Modules, old: str, new: str, says: str) -> None:
    found = changes(contract(modules, PAIR), contract(modules, PAIR.replace(old, new)))
    assert [one for one in found if one.breaks == STATES and says in str(one)], found
