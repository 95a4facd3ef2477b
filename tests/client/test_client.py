"""A client and one node, in this process."""

import asyncio
import inspect
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

import fleet
import fleet.aio
from fleet.actors.client.messages import ListAddresses
from fleet.actors.member.actor import Member
from fleet.actors.messages.operator import CheckClass
from fleet.blocking import IN_ASYNCIO, importing
from fleet.client.backlog import Backlog
from fleet.errors import (
    CallsAtImport,
    ClientClosed,
    ConfigError,
    FleetError,
    NotDone,
    OutcomeUnknown,
    Overloaded,
    SessionExpired,
    TooLarge,
    WouldDeadlock,
)
from fleet.objects.class_refs import ClassRef
from fleet.objects.outcomes import Failed, Succeeded, Unsettled
from fleet.objects.payload import encode_ok
from fleet.objects.replies import Reply
from tests.support.classes import Counter
from tests.support.objects import applier_of
from tests.support.waiting import eventually

SECRET = "a secret of the tests, long enough"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fleet.Node]:
    directory: Path = tmp_path_factory.mktemp("node")
    with fleet.Node("n1", "127.0.0.1:0", directory, secret=SECRET, executors=0) as node:
        yield node


@pytest.fixture
def client(node: fleet.Node) -> Iterator[fleet.Fleet]:
    with connect(node) as client:
        yield client


def connect(node: fleet.Node, **options: Any) -> fleet.Fleet:
    return fleet.connect(node.address, secret=SECRET, **options)


def member_of(node: fleet.Node, group: str) -> Member:
    cells = node._system.base.kernel.cells.values()
    members = [cell.instance for cell in cells if isinstance(cell.instance, Member)]
    return next(one for one in members if one.spec.name == group)


def test_s76_a_client_that_is_closed_leaves_no_session_behind(node: fleet.Node) -> None:
    with connect(node) as leaving:
        leaving.create_group("left", Counter, replicas=1).add()
        assert len(applier_of(member_of(node, "left")).sessions.sessions) == 1
    with connect(node) as other:
        assert other.group("left", Counter).get() == 1
    eventually(lambda: applier_of(member_of(node, "left")).sessions.sessions == {})


# -- where nothing may block -------------------------------------------------------------------------


SCRIPT = """
import fleet

class Counter(fleet.Data):
    value: int = 0

    @fleet.command
    def add(self) -> int:
        self.value += 1
        return self.value

with fleet.connect({address!r}, secret={secret!r}) as f:
    f.create_group("script", Counter, replicas=1).add()
"""


@pytest.fixture
def script(node: fleet.Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that opens a client."""
    (tmp_path / "script_of_a_user.py").write_text(SCRIPT.format(address=node.address, secret=SECRET))
    monkeypatch.syspath_prepend(tmp_path)
    return "script_of_a_user"


def test_a_script_that_creates_a_group_when_it_is_imported_is_told_what_to_do(script: str) -> None:
    with pytest.raises(CallsAtImport, match=r"create_group\(\) at the top level of the module"):
        __import__(script)
    assert script not in sys.modules


def test_a_node_that_is_to_import_a_script_which_opens_a_client_says_what_to_do(
    client: fleet.Fleet, script: str
) -> None:
    """It hung for ever: the node waited for itself in its own loop."""
    ref = ClassRef("Counter", script, f"c{script}\nCounter\n.".encode())
    began = time.monotonic()
    with pytest.raises(CallsAtImport) as caught:
        client._first_node(CheckClass(msgspec.msgpack.encode(ref)))
    assert time.monotonic() - began < 1
    assert str(caught.value) == (
        "fleet.connect() at the top level of a module that a node imports for script_of_a_user.Counter: "
        "the node would wait for itself (data_class=Counter, module=script_of_a_user) - "
        'put what the script does under `if __name__ == "__main__":`, '
        "or move the class into a module of its own"
    )


@pytest.mark.parametrize("what", ["connect", "call", "groups"])
def test_nothing_is_asked_of_a_cluster_during_an_import_of_a_node(client: fleet.Fleet, what: str) -> None:
    counter = client.create_group("asked", Counter, replicas=1, exist_ok=True)
    acts: dict[str, Callable[[], Any]] = {
        "connect": lambda: fleet.connect("127.0.0.1:1", secret=SECRET),
        "call": counter.get,
        "groups": client.groups,
    }
    with importing("shop.Cart"), pytest.raises(WouldDeadlock, match="a node imports for shop.Cart"):
        acts[what]()


def test_the_loop_of_a_node_may_not_wait_for_a_cluster(node: fleet.Node, client: fleet.Fleet) -> None:
    counter = client.create_group("asked", Counter, replicas=1, exist_ok=True)
    for act in (counter.get, lambda: fleet.connect(node.address, secret=SECRET), client.groups):
        with pytest.raises(WouldDeadlock, match="the thread that runs the actors"):
            node._system.base.run_in_loop(act)


def test_a_blocking_call_in_an_asyncio_loop_warns_with_the_form_to_use(client: fleet.Fleet) -> None:
    counter = client.create_group("asked", Counter, replicas=1, exist_ok=True)

    async def block() -> None:
        for _ in range(3):
            counter.get()
        client.groups()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        asyncio.run(block())
    assert [str(one.message) for one in told] == [IN_ASYNCIO, IN_ASYNCIO]
    assert {one.filename for one in told} == {__file__}


def test_a_closed_client_says_so_and_what_to_do(node: fleet.Node) -> None:
    client = connect(node)
    counter = client.group("asked", Counter)
    client.close()
    for act in (counter.get, counter.get.submit, client.groups):
        with pytest.raises(ClientClosed, match=r"client was closed - open another one with fleet.connect"):
            act()


def test_the_address_of_a_node_that_is_not_started_is_told_apart(tmp_path: Path) -> None:
    node = fleet.Node("n9", "127.0.0.1:0", tmp_path, secret=SECRET)
    with pytest.raises(ConfigError, match=r"empty until it is started: call start\(\) first"):
        fleet.connect(node.address, secret=SECRET)


# -- asyncio -----------------------------------------------------------------------------------------


def test_an_asyncio_client_does_everything_without_blocking_the_loop(node: fleet.Node) -> None:
    async def use() -> None:
        async with fleet.aio.connect(node.address, secret=SECRET) as f:
            counter = await f.create_group("aio", Counter, replicas=1)
            assert await asyncio.gather(*(counter.add.aio() for _ in range(5))) == [1, 2, 3, 4, 5]
            assert "aio" in [group.name for group in await f.groups()]
        with pytest.raises(ClientClosed):
            await f.groups()
        f = await fleet.aio.connect([node.address], secret=SECRET)
        async with f:
            assert await f.group("aio", Counter).get.aio() == 5

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(use())


def test_an_asyncio_connection_that_nobody_waits_for_any_more_is_closed(
    node: fleet.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[fleet.Fleet] = []
    may_open, closed = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> fleet.Fleet:
        may_open.wait(10)
        opened.append(connect(node))
        close = opened[0].close

        def close_and_tell() -> None:
            close()
            closed.set()

        monkeypatch.setattr(opened[0], "close", close_and_tell)
        return opened[0]

    monkeypatch.setattr("fleet.client.connection.connect", slow)

    async def impatient() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fleet.aio.connect(node.address), 0.01)
        may_open.set()
        while not closed.is_set():
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(impatient(), 10))
    with pytest.raises(ClientClosed):
        opened[0].groups()


def test_asyncio_has_every_method_that_threads_have() -> None:
    public = {name for name, _ in inspect.getmembers(fleet.Fleet, inspect.isfunction) if name[0] != "_"}
    assert public - {"submit", "submit_aio", "wait"} == {
        name for name, _ in inspect.getmembers(fleet.aio.Fleet, inspect.isfunction) if name[0] != "_"
    }, "fleet/aio.py: add the missing one, as in `nodes = _in_thread(blocking.Fleet.nodes)`"
    taken = inspect.signature(fleet.connect).parameters
    assert inspect.signature(fleet.aio.connect).parameters == taken


# -- what became of a call after all -----------------------------------------------------------------


def unsettled() -> tuple[Reply[Any], OutcomeUnknown]:
    reply: Reply[Any] = Reply()
    reply.settle(Unsettled(OutcomeUnknown("sent, and not answered in time")))
    error = reply.exception(0)
    assert isinstance(error, OutcomeUnknown)
    return reply, error


def test_again_waits_on_for_the_same_call() -> None:
    reply, error = unsettled()
    with pytest.raises(OutcomeUnknown) as caught:
        error.again(0.001)
    assert caught.value is error

    async def late() -> Any:
        with pytest.raises(OutcomeUnknown):
            await error.again_aio(0.001)
        asyncio.get_running_loop().call_later(0.001, reply.settle_late, Succeeded(encode_ok(7), 3))
        return await error.again_aio()

    assert asyncio.run(late()) == 7
    assert error.again() == 7


def test_an_outcome_that_stays_unknown_ends_every_wait() -> None:
    """The last error had an `again` that nobody would ever answer."""
    reply, error = unsettled()
    reply.settle_late(Failed(OutcomeUnknown("sent, and never answered")))
    with pytest.raises(OutcomeUnknown, match="never answered") as caught:
        error.again()
    with pytest.raises(OutcomeUnknown) as told_again:
        caught.value.again()
    assert told_again.value is caught.value
    with pytest.raises(OutcomeUnknown):
        asyncio.run(caught.value.again_aio())


# -- how much may be under way -----------------------------------------------------------------------


@pytest.fixture
def stuck(node: fleet.Node) -> Iterator[tuple[fleet.Fleet, Counter, threading.Event]]:
    """A client for two calls, whose loop stands still until the event is set."""
    go_on = threading.Event()
    with connect(node, calls_max=2) as client:
        counter = client.create_group("full", Counter, replicas=1, exist_ok=True)

        def stand_still(known: Any) -> None:
            go_on.wait(10)

        client._put(ListAddresses(stand_still))
        yield client, counter, go_on
        go_on.set()


def test_s69_a_client_refuses_at_once_what_is_more_than_it_may_hold(
    stuck: tuple[fleet.Fleet, Counter, threading.Event],
) -> None:
    _, counter, go_on = stuck
    pending = [counter.add.submit() for _ in range(2)]
    for act in (counter.add, counter.add.submit, counter.get):
        with pytest.raises(Overloaded, match="calls=2, calls_max=2"):
            act()
    go_on.set()
    assert pending[1].result(10) - pending[0].result(10) == 1
    counter.add()


def test_s69_a_call_may_wait_for_room_as_long_as_it_may_take(
    stuck: tuple[fleet.Fleet, Counter, threading.Event],
) -> None:
    client, counter, go_on = stuck
    before = [counter.add.submit() for _ in range(2)]
    with pytest.raises(Overloaded):
        counter.add.options(timeout=0.01, wait_when_full=True)()
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(counter.add.options(wait_when_full=True))

        async def wait() -> list[int]:
            with pytest.raises(Overloaded):
                await counter.add.options(timeout=0.01, wait_when_full=True).aio()
            given_up = asyncio.ensure_future(counter.add.options(wait_when_full=True).aio())
            await asyncio.sleep(0)
            given_up.cancel()
            patient = counter.add.options(wait_when_full=True)
            waiting = [asyncio.ensure_future(patient.aio()) for _ in range(5)]
            await asyncio.sleep(0)
            go_on.set()
            return await asyncio.gather(*waiting)

        values = asyncio.run(wait())
        values += [*(one.result(10) for one in before), late.result(10)]
    assert sorted(values) == list(range(min(values), min(values) + 8))
    assert (client._backlog.count, client._backlog.bytes) == (0, 0)


def test_bytes_are_limited_too_and_one_call_of_any_size_is_let_pass() -> None:
    backlog = Backlog(100, 1000)
    assert backlog.enter(5000, False) is None
    with pytest.raises(Overloaded, match="bytes=5000, bytes_max=1000"):
        backlog.enter(1, False)
    backlog.leave(1, 5000)
    assert backlog.enter(600, False) is None
    first, second = backlog.enter(600, True), backlog.enter(1, True)
    assert first is not None and second is not None and not second.admitted.done()
    backlog.leave(1, 600)
    backlog.wait(first, 0)
    backlog.wait(second, 0)
    assert (backlog.count, backlog.bytes) == (2, 601)


def test_a_small_call_is_admitted_when_a_large_one_before_it_gives_up() -> None:
    backlog = Backlog(100, 1000, waits=True)
    assert backlog.enter(900) is None
    large, small = backlog.enter(500), backlog.enter(50)
    assert large is not None and small is not None and not small.admitted.done()
    with pytest.raises(Overloaded):
        backlog.wait(large, 0)
    backlog.wait(small, 0)
    assert backlog.enter(50) is None


def test_whoever_waits_for_room_is_told_when_the_client_is_closed() -> None:
    backlog = Backlog(1, 1000)
    backlog.enter(1, False)
    place = backlog.enter(1, True)
    assert place is not None
    backlog.close(ClientClosed("this client was closed"))
    with pytest.raises(ClientClosed):
        backlog.wait(place, 10)
    with pytest.raises(ClientClosed):
        backlog.enter(1, True)


@pytest.mark.parametrize("limits", [(0, 1), (1, 0), (1.5, 1)])
def test_a_limit_that_cannot_be_is_refused(limits: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigError, match="must be a whole number from 1"):
        Backlog(*limits)


# -- words -------------------------------------------------------------------------------------------


def test_no_error_says_that_calling_again_is_safe() -> None:
    """`error.again()` waits for the same call; a second call of the method is executed as well."""
    assert "calling the method again is a new command" in OutcomeUnknown.hint
    for text in (fleet.errors.__doc__, OutcomeUnknown.__doc__):
        assert text is not None and "is safe" not in text
        assert "calling the method again is a new command" in " ".join(text.split()).lower()
    assert issubclass(Overloaded, NotDone) and issubclass(ClientClosed, FleetError)
    assert not OutcomeUnknown.retry and not SessionExpired.retry


def test_a_command_that_is_too_large_names_the_setting_and_how_it_is_raised(client: fleet.Fleet) -> None:
    """It said to raise "the limit on every node", and there is no such limit."""
    small = fleet.GroupConfig(command_bytes_max=2000)
    group = client.create_group("small", Counter, replicas=1, config=small)
    with pytest.raises(TooLarge, match="setting=command_bytes_max.* raised with change_config"):
        group.add(10**6000)
