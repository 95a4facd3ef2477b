"""`with` and `async with` on a real node: waiting, renewal, and a lease that is lost."""

import asyncio
import threading
import time
from contextlib import ExitStack

import pytest

import fleet
from fleet.errors import ConfigError, LeaseLost, WaitTimeout
from fleet.recipes import Barriers, Elections, Locks, RateLimits
from tests.recipes.conftest import SECRET
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def locks(client: fleet.Fleet) -> Locks:
    return client.create_group("locks", Locks, replicas=1)


def test_a_lock_is_renewed_for_as_long_as_the_block_runs(locks: Locks) -> None:
    with locks.hold("a", ttl=0.6) as lease:
        time.sleep(1.5)
        lease.check()
        assert lease.is_held and locks.live("a") == {lease.token: None}
    assert not lease.is_held and locks.count("a") == 0


def test_one_thread_renews_all_that_threads_hold(locks: Locks) -> None:
    with ExitStack() as stack:
        leases = [stack.enter_context(locks.hold(f"many {number}", ttl=1.0)) for number in range(50)]
        time.sleep(1.5)
        assert all(lease.is_held for lease in leases)
        assert [thread.name for thread in threading.enumerate()].count("fleet.recipes") == 1


def test_who_waits_gets_it_when_it_is_given_back(locks: Locks) -> None:
    tokens = []

    def wait() -> None:
        with locks.hold("b", ttl=30, wait=20) as lease:
            tokens.append(lease.token)

    waiting = threading.Thread(target=wait)
    with locks.hold("b", ttl=30) as lease:
        waiting.start()
        with pytest.raises(WaitTimeout, match="others held 'b' for 0.2 s"), locks.hold("b", wait=0.2):
            pass
        assert not tokens
    waiting.join(10)
    assert len(tokens) == 1 and tokens[0] > lease.token


def test_a_lock_of_somebody_who_died_is_free_after_its_time(locks: Locks) -> None:
    assert locks.acquire("c", "somebody", 0.5)[0]
    with locks.hold("c", wait=10) as lease:
        assert lease.is_held


def test_a_lost_lease_is_told_by_check_and_at_the_end(locks: Locks) -> None:
    with pytest.raises(LeaseLost) as caught, locks.hold("d", ttl=0.6) as lease:
        locks.release("d", lease.token)
        eventually(lambda: not lease.is_held)
        with pytest.raises(LeaseLost, match="'d' is lost: 'd' is not held with token"):
            lease.check()
    assert caught.value.token == lease.token


def test_what_the_block_raises_is_not_replaced_by_the_loss(locks: Locks) -> None:
    with pytest.raises(KeyError), locks.hold("e", ttl=0.6) as lease:
        locks.release("e", lease.token)
        raise KeyError


def test_without_a_node_the_lease_is_lost_in_time(client: fleet.Fleet, locks: Locks) -> None:
    other = fleet.connect(client._addresses(), secret=SECRET)
    began = time.monotonic()
    with pytest.raises(LeaseLost, match="could not be renewed for 0.8 s"):
        with other.group("locks", Locks).hold("f", ttl=0.8) as lease:
            other.close()
            eventually(lambda: not lease.is_held)
    assert time.monotonic() - began < 5
    with locks.hold("f", wait=10):
        pass


def test_a_hold_is_entered_once_and_with_times_that_can_pass(locks: Locks) -> None:
    hold = locks.hold("g")
    with hold:
        with pytest.raises(ConfigError, match="entered before"), hold:
            pass
    for how in ({"ttl": 0}, {"ttl": -1}, {"wait": -1}):
        with pytest.raises(ConfigError, match="more than 0"):
            locks.hold("g", **how)


# -- asyncio ---------------------------------------------------------------------------------------------


def test_a_task_holds_a_lock_and_another_waits(locks: Locks) -> None:
    order: list[str] = []

    async def work(name: str) -> None:
        async with locks.hold("h", ttl=0.6) as lease:
            order.append(f"{name} in")
            await asyncio.sleep(1.0)
            lease.check()
            order.append(f"{name} out")

    async def main() -> None:
        await asyncio.gather(work("x"), work("y"))

    asyncio.run(main())
    assert order[0][0] == order[1][0] and [word[2:] for word in order] == ["in", "out"] * 2


def test_the_block_of_a_task_ends_when_its_lease_is_lost(locks: Locks) -> None:
    async def main() -> None:
        began = time.monotonic()
        with pytest.raises(LeaseLost):
            async with locks.hold("i", ttl=0.6) as lease:
                await locks.release.aio("i", lease.token)
                await asyncio.sleep(60)
        assert time.monotonic() - began < 15
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None and not task.cancelling()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_cancelled_task_gives_its_lock_back(locks: Locks) -> None:
    async def hold(is_held: asyncio.Event) -> None:
        async with locks.hold("j", ttl=30):
            is_held.set()
            await asyncio.sleep(60)

    async def main() -> None:
        is_held = asyncio.Event()
        task = asyncio.create_task(hold(is_held))
        await is_held.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await locks.count.aio("j") == 0

    asyncio.run(asyncio.wait_for(main(), 20))


def test_tasks_observe_meet_and_wait(client: fleet.Fleet) -> None:
    elections = client.create_group("elections", Elections, replicas=1)
    barriers = client.create_group("barriers", Barriers, replicas=1)
    limits = client.create_group("limits", RateLimits, replicas=1)
    seen: list[object] = []

    async def observe() -> None:
        async for leader in elections.observe_aio("s", poll=0.02):
            seen.append(leader)
            if leader is None and len(seen) > 1:
                return

    async def main() -> None:
        observing = asyncio.create_task(observe())
        async with elections.campaign("s", value="me") as lease:
            while (lease.token, "me") not in seen:
                await asyncio.sleep(0.02)
        await observing
        assert len(set(await asyncio.gather(*(barriers.wait_aio("b", 3) for _ in range(3))))) == 1
        with pytest.raises(WaitTimeout):
            await barriers.wait_aio("b", 2, timeout=0.1)
        assert await barriers.count.aio("b") == 0, "it has left"
        began = time.monotonic()
        for _ in range(3):
            await limits.wait_aio("l", rate=10)
        assert time.monotonic() - began > 0.19
        await limits.wait_aio("m", rate=0.1)
        with pytest.raises(WaitTimeout, match="'m' lets 1 more through in"):
            await limits.wait_aio("m", rate=0.1, timeout=1)

    asyncio.run(asyncio.wait_for(main(), 20))
    assert seen[-1] is None
