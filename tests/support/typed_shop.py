"""A data class without pickles."""

import dataclasses
import datetime
import enum

import msgspec

import fleet


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Item:
    name: str
    price: float
    made: datetime.date
    color: Color = Color.RED


class Receipt(msgspec.Struct, frozen=True):
    number: int
    items: tuple[Item, ...]


class TypedShop(fleet.Data, codec="msgspec"):
    items: dict[str, Item] = {}
    sold: list[Receipt] = []
    visitors: set[str] = set()
    reminded: int = 0

    @fleet.command
    def put(self, item: Item) -> int:
        self.items[item.name] = item
        return len(self.items)

    @fleet.command
    def sell(self, *names: str, to: str = "somebody") -> Receipt:
        missing = [name for name in names if name not in self.items]
        if missing:
            raise fleet.Reject({"missing": missing})
        receipt = Receipt(len(self.sold) + 1, tuple(self.items.pop(name) for name in names))
        self.sold.append(receipt)
        self.visitors.add(to)
        fleet.ctx.emit("sold", receipt)
        return receipt

    @fleet.command
    def remind(self, date: datetime.date) -> None:
        fleet.ctx.remind("later", date, after=0.01)

    @fleet.reminder("later")
    def later(self, date: datetime.date) -> None:
        self.reminded += date.day

    @fleet.command
    def fail(self) -> None:
        raise ValueError("as it was told to")

    @fleet.query
    def find(self, name: str) -> Item | None:
        return self.items.get(name)

    @fleet.query
    def all_sold(self) -> list[Receipt]:
        return self.sold

    @fleet.query
    def reminders(self) -> int:
        return self.reminded
