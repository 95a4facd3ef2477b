"""A data class with a bit of everything that states and calls hold, and what edits of it break."""

from fleet.contracts.compare import changes
from fleet.contracts.contract import ClassContract
from fleet.contracts.describe import contract_of
from fleet.contracts.difference import Difference
from tests.support.modules import Modules

BASKET = """
import enum
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Optional, Sequence, TypedDict
import msgspec
import fleet

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

@dataclass
class Item:
    name: str
    price: int = 0

@dataclass
class Wish:
    name: str

class Size(msgspec.Struct):
    width: int
    next: "Size | None" = None

class Spot(NamedTuple):
    x: int
    y: int = 0

class Options(TypedDict, total=False):
    deep: bool

class Basket(fleet.Data):
    items: list[Item] = []
    sizes: list[Size] = []
    spot: Spot | None = None
    colour: Optional[Colour] = None
    total: int = 0
    options: Options | None = None

    def __init__(self):
        self.extra = 1

    @fleet.command
    def put(self, item: Item, n: int = 1, *, how: Literal["a", "b"] = "a") -> int:
        return 0

    @fleet.command
    def wish(self, wish: Wish, /, *more: str) -> None:
        pass

    @fleet.query
    def at(self, place: int, deep: bool = False) -> "int | None":
        return None
"""


def contract(modules: Modules, text: str) -> ClassContract:
    return contract_of(modules.load(basket=text).Basket)


def compared(modules: Modules, *edits: tuple[str, str]) -> list[Difference]:
    text = BASKET
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return changes(contract(modules, BASKET), contract(modules, text))
