"""Watching a group, from a client of one node in this process."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.actors.client import watches
from fleet.actors.member import watchers
from fleet.actors.member.actor import Member
from fleet.errors import ClientClosed, Compacted, ConfigError, NoSuchGroup, WaitTimeout
from fleet.objects import watch as watch_module
from fleet.objects.event import Event
from fleet.objects.watch import Watch, position_of
from fleet.raft.group_events import LAST
from tests.support.classes import Feed
from tests.support.waiting import eventually

SECRET = "a secret of the tests, long enough"
NAMES = iter(range(1000))


@pytest.fixture(scope="module", params=[0, 1], ids=["here", "executor"])
def node(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[fleet.Node]:
    """With executors of their own, and with objects in the node's process."""
    directory: Path = tmp_path_factory.mktemp("node")
    with fleet.Node("n1", "127.0.0.1:0", directory, secret=SECRET, executors=request.param) as node:
        yield node


@pytest.fixture
def client(node: fleet.Node) -> Iterator[fleet.Fleet]:
    with fleet.connect(node.address, secret=SECRET) as client:
        yield client


@pytest.fixture
def feed(client: fleet.Fleet) -> Feed:
    return client.create_group(f"feed-{next(NAMES)}", Feed)


def member_of(node: fleet.Node, group: str) -> Any:
    cells = node._system.base.kernel.cells.values()
    members = [cell.instance for cell in cells if isinstance(cell.instance, Member)]
    return next(member for member in members if member.spec.name == group)


def values(watch: Watch, count: int) -> list[Any]:
    return [watch.next(10.0).value for _ in range(count)]


def test_a_watch_is_told_what_is_emitted_after_it_began(feed: Feed) -> None:
    feed.write("old", 0)
    with feed.watch() as watch:
        revision = feed.write("new", 1)
        assert watch.next(10.0) == Event(revision, 0, "new", 1)
        for n in range(5):
            feed.write("new", n)
        assert values(watch, 5) == list(range(5))
        with pytest.raises(WaitTimeout):
            watch.next(0.01)


def test_a_watch_goes_on_where_another_one_ended(feed: Feed) -> None:
    feed.write_many("n", 5)
    with feed.watch(since=0) as watch:
        assert values(watch, 3) == [0, 1, 2]
        last = watch.next(10.0)
        assert watch.since == last.id
    for since in (last.id, last):
        with feed.watch(since=since) as watch:
            assert values(watch, 1) == [4]
    revision = feed.write("n", "after")
    with feed.watch(since=revision - 1) as watch:
        assert values(watch, 1) == ["after"]
    with feed.watch(since=revision) as watch:
        assert feed.write("n", "later") and values(watch, 1) == ["later"]


def test_only_the_kinds_that_are_asked_for_are_told(feed: Feed) -> None:
    with feed.watch(kinds=["a", "b"]) as some, feed.watch(kinds=["c"]) as other, feed.watch() as whole:
        for kind in "abcabc":
            feed.write(kind, kind)
        assert values(some, 4) == list("abab")
        assert values(other, 2) == list("cc")
        assert values(whole, 6) == list("abcabc")


def test_a_watch_that_begins_too_late_is_told_from_where_all_is_kept(feed: Feed) -> None:
    for _ in range(3):
        revision = feed.write_many("n", 1000)
    with pytest.raises(Compacted) as caught, feed.watch(since=0):
        pass
    assert caught.value.oldest == revision - 1
    with feed.watch(since=caught.value.oldest - 1) as watch:
        assert len(values(watch, 2000)) == 2000


def test_many_big_events_are_told_page_by_page(feed: Feed) -> None:
    feed.write_many("n", 30, size=100_000)
    with feed.watch(since=0) as watch:
        assert sum(map(len, values(watch, 30))) == 3_000_000


def test_asyncio_tasks_watch_too(node: fleet.Node, feed: Feed) -> None:
    group = feed.__dict__["_fleet_group"]

    async def told(watch: Watch, count: int) -> list[Any]:
        found = []
        async with watch:
            ready.release()
            async for event in watch:
                found.append(event.value)
                if len(found) == count:
                    break
        return found

    ready = threading.Semaphore(0)

    async def main() -> None:
        async with fleet.aio.connect(node.address, secret=SECRET) as f:
            handle = f.group(group, Feed)
            tasks = [asyncio.create_task(told(handle.watch(), 20)) for _ in range(50)]
            tasks.append(asyncio.create_task(told(f.watch(group), 20)))
            while not all(task.done() for task in tasks) and len(begun) < len(tasks):
                await asyncio.sleep(0.001)
                if ready.acquire(blocking=False):
                    begun.append(1)
            for n in range(20):
                await handle.write.aio("n", n)
            assert await asyncio.gather(*tasks) == [list(range(20))] * len(tasks)

    begun: list[int] = []
    asyncio.run(asyncio.wait_for(main(), 14))


def test_a_slow_watch_is_bounded_and_misses_nothing(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "WAITING_MAX", 10)
    with feed.watch(since=0) as slow, feed.watch(since=0) as quick:
        for n in range(20):
            feed.write("n", n)
        eventually(lambda: slow._queue.is_full, what="the slow one to be full")
        held = len(slow._queue.events)
        for reply in [feed.write.submit("n", n) for n in range(20, 500)]:
            reply.result()
        assert values(quick, 500) == list(range(500))
        assert len(slow._queue.events) == held <= 20
        assert values(slow, 500) == list(range(500))


def test_a_member_holds_little_for_a_watch_that_confirms_nothing(
    node: fleet.Node, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "UNCONFIRMED_MAX", 70)
    with feed.watch(since=0) as watch:
        for n in range(150):
            feed.write("n", n)
        assert values(watch, 150) == list(range(150))


def test_whoever_leaves_is_forgotten(node: fleet.Node, feed: Feed) -> None:
    group = feed.__dict__["_fleet_group"]
    member = member_of(node, group)

    def watching() -> int:
        return len(member.clients.watchers.by_client)

    with fleet.connect(node.address, secret=SECRET) as other:
        handle = other.group(group, Feed)
        first, second = handle.watch(), handle.watch()
        for one in (first, second):
            one.__enter__()
        assert watching() == 1, "one stream for both"
        first.close()
        handle.write("n")
        assert second.next(10.0) and watching() == 1
        del second, one
        gc.collect()
        eventually(lambda: not watching(), what="to be forgotten with the last watch")
        third = handle.watch()
        with third:
            assert watching() == 1
        third = handle.watch()
        third.__enter__()
    eventually(lambda: not watching(), what="to be forgotten with the client")
    with pytest.raises(ClientClosed):
        third.next(5.0)
    assert member.clients.watchers.run == 0


def test_a_group_that_is_not_there_or_is_removed_ends_a_watch(client: fleet.Fleet, feed: Feed) -> None:
    with pytest.raises(NoSuchGroup):
        client.watch("nobody").next(10.0)
    watch = feed.watch()
    with watch:
        begun = time.monotonic()
        client.remove_group(feed.__dict__["_fleet_group"])
        with pytest.raises(NoSuchGroup):
            watch.next(10.0)
        assert time.monotonic() - begun < watches.KEEP_MS / 1000


def test_a_thread_that_waits_is_woken_when_the_client_is_closed(node: fleet.Node, feed: Feed) -> None:
    other = fleet.connect(node.address, secret=SECRET)
    watch = other.watch(feed.__dict__["_fleet_group"])
    watch.__enter__()
    threading.Timer(0.05, other.close).start()
    with pytest.raises(ClientClosed):
        watch.next(10.0)


@pytest.mark.parametrize("since", [-1, "x", "1-", "-1", "1-2-3", "", 1.5, True, "٣"])
def test_since_is_a_revision_or_an_event(since: Any) -> None:
    with pytest.raises(ConfigError, match="since is a revision"):
        position_of(since)


def test_since_has_no_thousands_of_digits() -> None:
    """Python neither reads nor shows such numbers."""
    for since in ("9" * 5000, "1-" + "9" * 5000, 10**5000):
        with pytest.raises(ConfigError, match="since is a revision"):
            position_of(since)


def test_since_in_all_its_forms() -> None:
    assert position_of(None) is None
    assert position_of(5) == position_of("5") == (5, LAST)
    assert position_of("9" * 19) == (LAST, LAST)
    assert position_of("5-2") == position_of(Event(5, 2, "k", None)) == (5, 2)


def test_a_plain_instance_and_no_kinds_are_refused(feed: Feed) -> None:
    with pytest.raises(NoSuchGroup, match="plain local object"):
        Feed().watch()
    with pytest.raises(ConfigError, match="no kinds"):
        feed.watch(kinds=[])
    with pytest.raises(ConfigError, match="kind of an event"):
        feed.watch(kinds=[""])
    watch = feed.watch()
    watch.close()
    with pytest.raises(ConfigError, match="was closed"):
        watch.next()
