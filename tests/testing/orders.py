"""A class whose methods take arguments of many types, and classes that break one rule each."""

import collections
import dataclasses
import datetime
import decimal
import enum
import os
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict

import msgspec

import fleet


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.StrEnum):
    SMALL = "s"
    LARGE = "l"


Sku = NewType("Sku", str)


class Line(msgspec.Struct, frozen=True):
    sku: Sku
    count: Annotated[int, msgspec.Meta(description="of items")]
    colour: Colour = Colour.RED


class Place(NamedTuple):
    street: str
    zone: int = 0


class Extra(TypedDict):
    note: str
    gift: NotRequired[bool]


class Guarded:
    def __init__(self, lock):  # type: ignore[no-untyped-def]
        self.lock = lock


@dataclasses.dataclass(frozen=True)
class Order:
    id: uuid.UUID
    at: datetime.datetime
    lines: list[Line]
    to: Place | None
    extra: Extra
    parts: "list[Order]" = dataclasses.field(default_factory=list)
    guard: Guarded | None = None

    def total(self) -> int:
        return sum(line.count for line in self.lines)


@dataclasses.dataclass
class Even:
    """Not every made-up value suits it."""

    count: int

    def __post_init__(self) -> None:
        if self.count % 2:
            raise ValueError("count must be even")


@dataclasses.dataclass
class Parcel:
    order: Order
    guard: Guarded


class Shop(fleet.Data):
    orders: dict[uuid.UUID, Order] = {}
    seen: list[Any] = []

    @fleet.command
    def place(self, order: Order, *, until: datetime.date, note: str = "") -> Order:
        assert isinstance(order, Order) and type(until) is datetime.date
        assert all(isinstance(line, Line) and isinstance(line.colour, Colour) for line in order.lines)
        assert order.to is None or type(order.to) is Place
        self.orders[order.id] = order
        return order

    @fleet.command
    def mark(
        self,
        size: Size,
        kind: Literal["a", "b"],
        price: decimal.Decimal | None,
        wait: datetime.timedelta,
        keys: frozenset[Colour],
        lines: Sequence[tuple[Line, ...]],
        by: Mapping[str, set[int]],
        queue: collections.deque[datetime.time],
    ) -> tuple[Size, decimal.Decimal | None]:
        assert isinstance(size, Size) and kind in ("a", "b") and isinstance(wait, datetime.timedelta)
        self.seen = [size, kind, price, wait, len(keys), [*lines], len(by), [*queue]]
        return size, price

    @fleet.command
    def count(self, even: Even) -> int:
        return even.count

    @fleet.query
    def order(self, id: uuid.UUID) -> Order | None:
        return self.orders.get(id)


class SentGuarded(fleet.Data):
    @fleet.command
    def send(self, parcel: Parcel) -> int:
        return 1 if isinstance(parcel.guard, Guarded) else 0


class LockResult(fleet.Data):
    count: int = 0

    @fleet.command
    def give(self) -> dict[str, Any]:
        self.count += 1
        return {"orders": [Place("x"), Guarded(threading.Lock())]}  # type: ignore[no-untyped-call]


class LockOfQuery(fleet.Data):
    @fleet.query
    def give(self) -> Any:
        return (1, threading.Lock())


class LockRejected(fleet.Data):
    @fleet.command
    def give(self) -> None:
        raise fleet.Reject([threading.Lock()])


class LockInState(fleet.Data):
    parcels: dict[str, Any] = {}

    @fleet.command
    def keep(self) -> None:
        self.parcels["a"] = [Guarded(threading.Lock())]  # type: ignore[no-untyped-call]


class Unpicklable:
    def __reduce__(self) -> Any:
        return int, ("no number",)


class BadResult(fleet.Data):
    @fleet.command
    def give(self) -> Any:
        return Unpicklable()


class LocalTime(fleet.Data):
    @fleet.command
    def hour(self) -> int:
        return datetime.datetime.fromtimestamp(fleet.ctx.now).hour


class BornNow(fleet.Data):
    born: float = dataclasses.field(default_factory=time.time)

    @fleet.query
    def age(self) -> float:
        return 1.0


class Wary(fleet.Data):
    """Catches what refuses it."""

    home: str = ""

    @fleet.command
    def look(self) -> str:
        try:
            self.home = os.environ["HOME"]
        except Exception:
            self.home = "?"
        return self.home


class KeptColour(fleet.Data):
    """What it keeps cannot be changed."""

    colours: list[Any] = []

    @fleet.command
    def keep(self, colour: Colour, order: Order, line: Line) -> int:
        self.colours = [colour, order, line]
        return len(self.colours)
