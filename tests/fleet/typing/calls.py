"""Checked by mypy and never run. A line that ends in a marked code must be refused with it; no other may."""

from collections.abc import Awaitable
from concurrent.futures import Future
from typing import assert_type

import fleet
from fleet.cluster.state import GroupInfo
from fleet.errors import OutcomeUnknown
from fleet.objects.context import ctx
from fleet.objects.declare import Data, command, query
from fleet.objects.group_handle import bind
from fleet.objects.handles import AtRevision, Caller
from fleet.thespian import Call


class Counter(Data, version=2, codec="cloudpickle"):
    value: int = 0
    names: dict[str, int] = {}

    @command
    def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    @command
    def rename(self, old: str, *, new: str) -> None:
        self.names[new] = self.names.pop(old)
        assert_type(ctx.now, float)

    @query
    def get(self) -> int:
        return self.value

    @query
    def held(self, prefix: str) -> list[str]:
        assert_type(self.get(), int)
        return [name for name in self.names if name.startswith(prefix)]


def on_a_handle(caller: Caller) -> None:
    counter = bind(Counter, "visits", caller)
    assert_type(counter, Counter)
    assert_type(counter.add(5), int)
    assert_type(counter.add(n=5), int)
    assert_type(counter.add.submit(5), Future[int])
    assert_type(counter.add.aio(5), Awaitable[int])
    assert_type(counter.add.options(timeout=1.5)(5), int)
    assert_type(counter.add.options(timeout=1.5).submit(5), Future[int])
    assert_type(counter.get(), int)
    assert_type(counter.get.submit(), Future[int])
    assert_type(counter.get.aio(), Awaitable[int])
    assert_type(counter.held.options(timeout=1)("a"), list[str])
    counter.rename("a", new="b")
    assert_type(counter.add.with_revision(5), AtRevision[int])
    assert_type(counter.get.stale(max_age=2.0)(), int)
    assert_type(counter.get.nearest().at_least(7)(), int)
    assert_type(counter.add.options(key="invoice", keep=60.0).submit(1), Future[int])
    assert_type(counter.get.stale(None).at_least(7).with_revision().value, int)
    assert_type(counter.held.at_least(7).options(timeout=1)("a"), list[str])
    assert_type(counter.held.stale().submit("a"), Future[list[str]])


def as_a_message() -> None:
    assert_type(Counter.add.call(5), Call)
    assert_type(Counter.held.call(prefix="a").options(tag=1, timeout=2), Call)
    Counter.add.call("five")  # E: arg-type
    Counter.held.call()  # E: call-arg


async def in_asyncio(caller: Caller) -> None:
    counter = bind(Counter, "visits", caller)
    assert_type(await counter.add.aio(5), int)
    assert_type(await counter.held.aio("a"), list[str])
    assert_type(await counter.held.stale(1.5).aio("a"), list[str])
    assert_type((await counter.add.aio_with_revision(5)).revision, int)


async def with_an_asyncio_client(error: OutcomeUnknown) -> None:
    async with fleet.aio.connect("127.0.0.1:7400", timeout=5, wait_when_full=True) as entered:
        assert_type(entered, fleet.aio.Fleet)
    f = await fleet.aio.connect(["127.0.0.1:7400"])
    assert_type(f, fleet.aio.Fleet)
    assert_type(f.group("visits", Counter), Counter)
    counter = await f.create_group("visits", Counter, replicas=3, exist_ok=True)
    assert_type(counter, Counter)
    assert_type(await counter.add.options(wait_when_full=True).aio(5), int)
    assert_type(await f.groups(), list[GroupInfo])
    assert_type(await f.at("visits", 3, Counter), Counter)
    assert_type(f.blocking.at("visits", 3, Counter).value, int)
    await f.drain("n1", wait_s=5)
    await f.create_group("visits")  # E: call-arg
    await f.create_group("visits", Counter, copies=3)  # E: call-arg
    await error.again_aio(5)
    await f.close()


def on_a_plain_instance() -> None:
    counter = Counter()
    assert_type(counter.add(5), int)
    assert_type(Counter.add(counter, 5), int)


def refused(caller: Caller) -> None:
    counter = bind(Counter, "visits", caller)
    counter.add("5")  # E: arg-type
    counter.add(5, 6)  # E: call-arg
    counter.add(m=5)  # E: call-arg
    counter.add.submit("5")  # E: arg-type
    counter.add.aio("5")  # E: arg-type
    counter.add.options(timeout=1)("5")  # E: arg-type
    counter.add.options(timeout="1")  # E: arg-type
    counter.add.options(retries=3)  # E: call-arg
    counter.rename("a", "b")  # E: call-arg
    counter.get(1)  # E: call-arg
    counter.held.submit(1)  # E: arg-type
    counter.held.aio()  # E: call-arg
    counter.gone()  # E: attr-defined
    counter.add.stale(2.0)  # E: attr-defined
    counter.get.options(key="invoice")  # E: call-arg
    counter.get.stale("2")  # E: arg-type
    counter.add.with_revision("5")  # E: arg-type
    text: str = counter.add(5)  # E: assignment
    late: Future[str] = counter.get.submit()  # E: assignment
    print(text, late)


class Mistaken(Data):
    @command  # E: arg-type
    def without_self() -> int:
        return 1
