"""The tools for users' tests take classes with `codec="msgspec"` as any other."""

import datetime

import fleet
from fleet.testing import Sim, check
from tests.support.typed_shop import Color, Item, Receipt, TypedShop

HAT = Item("hat", 9.5, datetime.date(2026, 1, 2), Color.BLUE)


class Tally(fleet.Data, codec="msgspec"):
    counts: dict[str, list[int]] = {}

    @fleet.command
    def add(self, name: str, *numbers: int) -> int:
        self.counts.setdefault(name, []).extend(numbers)
        return len(self.counts[name])

    @fleet.query
    def count(self, name: str) -> int:
        return len(self.counts.get(name, []))


def test_it_is_checked() -> None:
    check(Tally, seeds=5)


def test_it_is_simulated() -> None:
    sim = Sim(seed=7, nodes=3)
    shop = sim.group("shop", TypedShop)
    assert shop.put(HAT) == 1
    leader = sim.leader("shop")
    assert leader is not None
    sim.kill(leader)
    assert shop.find("hat") == HAT
    assert shop.sell("hat") == Receipt(1, (HAT,))
    assert sim.linearizable("shop")
    shop.remind(datetime.date(2026, 1, 7))
    sim.run("5s")
    assert shop.reminders() == 7
    assert sim.states_equal("shop")
