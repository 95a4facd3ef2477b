"""Leader hooks on three real nodes in one process."""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.actors.messages.operator import ListNodes, Nodes
from fleet.errors import CommandFailed, ConfigError, FleetError
from fleet.objects.class_refs import decode_class, encode_class
from fleet.objects.declare import Data
from fleet.raft.ids import node_of
from tests.support.waiting import eventually

SECRET = "a secret of the tests, long enough"
SEEN: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
"""What hooks were told, by group; each begins with the hook's name and the member."""
GATES: dict[str, threading.Event] = defaultdict(threading.Event)
CLIENT: list[fleet.Fleet] = []


class Notes(fleet.LeaderHooks["Book"]):
    """Writes down everything."""

    def note(self, hook: str, *told: Any) -> None:
        SEEN[self.group].append((hook, self.member, *told))

    def on_restored(self, state: "Book") -> None:
        self.note("restored", list(state.lines))

    def on_elected(self, state: "Book", term: int) -> None:
        self.note("elected", list(state.lines), term)
        state.lines.append("scribbled by a hook")

    def on_stepped_down(self, term: int) -> None:
        self.note("stepped down", term)

    def on_committed(self, event: fleet.Committed) -> None:
        self.note("committed", event)
        if isinstance(event.value, list):
            event.value.append("scribbled too")

    def on_query_answered(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any
    ) -> None:
        self.note("answered", method, args, kwargs, value)

    def on_member_added(self, member: str) -> None:
        self.note("added", member)

    def on_member_removed(self, member: str) -> None:
        self.note("removed", member)


class Book(fleet.Data, hooks=Notes):
    lines: list[str] = []

    @fleet.command
    def write(self, line: str, times: int = 1) -> int:
        if not line:
            raise fleet.Reject("empty")
        self.lines += [line] * times
        return len(self.lines)

    @fleet.command
    def everything(self) -> list[str]:
        return self.lines

    @fleet.command
    def fail(self) -> None:
        raise ValueError("no")

    @fleet.query
    def read(self) -> list[str]:
        return self.lines


class Blocking(fleet.LeaderHooks["Slow"]):
    def on_committed(self, event: fleet.Committed) -> None:
        assert GATES[self.group].wait(30)
        SEEN[self.group].append((event.value,))


class Slow(Book, hooks=Blocking):
    pass


class Raising(fleet.LeaderHooks["Sore"]):
    def on_committed(self, event: fleet.Committed) -> None:
        SEEN[self.group].append((event.value,))
        if event.value == 1:
            raise SystemExit("a hook gives up")

    def on_elected(self, state: "Sore", term: int) -> None:
        raise ValueError("not today")


class Sore(Book, hooks=Raising):
    pass


class Echoing(fleet.LeaderHooks["Echo"]):
    def on_committed(self, event: fleet.Committed) -> None:
        if event.args[0] == "call":
            CLIENT[0].group(self.group, Echo).write("answer")


class Echo(Book, hooks=Echoing):
    pass


def seen(group: str, *hooks: str) -> list[tuple[Any, ...]]:
    return [told for told in list(SEEN[group]) if not hooks or told[0] in hooks]


def node(directory: Path, name: str, listen: str = "127.0.0.1:0", join: list[str] = []) -> fleet.Node:
    return fleet.Node(name, listen, directory / name, secret=SECRET, join=join, executors=0).start()


def start_three(directory: Path) -> list[fleet.Node]:
    nodes = [node(directory, "n1")]
    nodes += [node(directory, name, join=[nodes[0].address]) for name in ("n2", "n3")]
    return nodes


def meet(client: fleet.Fleet, nodes: list[fleet.Node]) -> None:
    """Until each node knows all, and all have joined: a group is then founded where it is to live."""

    def know_all(one: fleet.Node) -> bool:
        value = client._ask(ListNodes(), address=one.address)
        return isinstance(value, Nodes) and len(value.nodes) == len(nodes)

    eventually(lambda: all(map(know_all, nodes)))
    eventually(lambda: len(client.nodes()) == len(nodes))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fleet.Fleet]:
    nodes = start_three(tmp_path_factory.mktemp("nodes"))
    with fleet.connect(nodes[0].address, secret=SECRET) as client:
        meet(client, nodes)
        CLIENT[:] = [client]
        yield client
    for one in nodes:
        one.stop()
    assert "fleet-hooks" not in [thread.name for thread in threading.enumerate()]


# -- each hook -----------------------------------------------------------------------------------------


def test_a_new_leader_is_elected(client: fleet.Fleet) -> None:
    client.create_group("founded", Book)
    status = client.status("founded")
    (told,) = eventually(lambda: seen("founded"))
    assert told == ("elected", status.leader, [], status.term)


def test_commands_are_told_once_each_in_order_with_what_their_callers_were_told(client: fleet.Fleet) -> None:
    book = client.create_group("told", Book)
    assert book.write("a", times=2) == 2
    with pytest.raises(fleet.Rejected):
        book.write("")
    with pytest.raises(CommandFailed):
        book.fail()
    futures = [book.write.submit(str(number)) for number in range(50)]
    assert [future.result() for future in futures] == list(range(3, 53))
    eventually(lambda: len(seen("told", "committed")) == 53)
    events = [told[2] for told in seen("told", "committed")]
    first, rejected, failed = events[:3]
    assert (first.method, first.args, first.kwargs, first.value) == ("write", ("a",), {"times": 2}, 2)
    assert first.error is None and first.client and not first.inherited
    assert isinstance(rejected.error, fleet.Rejected) and rejected.error.value == "empty"
    assert isinstance(failed.error, CommandFailed) and failed.value is None
    assert [event.value for event in events[3:]] == list(range(3, 53))
    revisions = [event.revision for event in events]
    assert revisions == sorted(set(revisions))


def test_a_query_is_told_with_its_answer(client: fleet.Fleet) -> None:
    book = client.create_group("asked", Book)
    book.write("a")
    assert book.read() == ["a"]
    (told,) = eventually(lambda: seen("asked", "answered"))
    assert told[2:] == ("read", (), {}, ["a"])


def test_what_a_hook_is_given_is_its_own(client: fleet.Fleet) -> None:
    book = client.create_group("scribbled", Book)
    book.write("a")
    assert book.everything() == ["a"]
    eventually(lambda: len(seen("scribbled", "committed")) == 2)
    other = next(n for n in ("n1", "n2", "n3") if n != node_of(client.status("scribbled").member))
    client.transfer_leader("scribbled", other)
    eventually(lambda: len(seen("scribbled", "elected")) >= 2)
    assert book.read() == book.everything() == ["a"]


def test_a_leader_that_hands_over_steps_down_and_the_next_one_is_elected(client: fleet.Fleet) -> None:
    book = client.create_group("handed", Book)
    book.write("a")
    before = client.status("handed")
    target = next(voter for voter in before.voters if voter != before.leader)
    client.transfer_leader("handed", node_of(target))
    down = eventually(lambda: seen("handed", "stepped down"))[0]
    assert down == ("stepped down", before.leader, before.term)
    elected = eventually(lambda: seen("handed", "elected")[1:])[0]
    assert elected[:3] == ("elected", target, ["a"]) and elected[3] > before.term
    book.write("b")  # told by one leader or, as the healing hands the group back meanwhile, by two
    eventually(lambda: any(told[2].args == ("b",) for told in seen("handed", "committed")))
    for line, value in (("a", 1), ("b", 2)):
        events = [told[2] for told in seen("handed", "committed") if told[2].args == (line,)]
        assert {event.value for event in events} == {value}
        assert all(event.inherited for event in events[1:])


def test_a_member_that_is_removed_is_told_and_so_is_the_one_that_comes_for_it(client: fleet.Fleet) -> None:
    client.create_group("shrunk", Book)
    status = client.status("shrunk")
    target = next(voter for voter in status.voters if voter != status.leader)
    client.remove_member("shrunk", node_of(target))
    (told,) = eventually(lambda: seen("shrunk", "removed"))
    assert told == ("removed", status.leader, target)
    _, _, newcomer = eventually(lambda: seen("shrunk", "added"))[0]
    assert newcomer != target and node_of(newcomer) == node_of(target)


def test_after_a_restart_the_leader_tells_what_it_restored_before_it_is_elected(tmp_path: Path) -> None:
    nodes = start_three(tmp_path)
    addresses = [one.address for one in nodes]
    with fleet.connect(addresses, secret=SECRET) as client:
        meet(client, nodes)
        client.create_group("kept", Book).write("a")
        leader = client.status("kept").leader
    for one in nodes:
        one.stop()
    assert not seen("kept", "restored")
    if seen("kept", "stepped down"):  # the leader was stopped, or deposed while it was alone
        assert seen("kept", "stepped down")[0][1] == leader
    SEEN["kept"].clear()
    nodes = [node(tmp_path, one.name, address) for one, address in zip(nodes, addresses)]
    eventually(lambda: seen("kept", "elected"))
    for one in nodes:
        one.stop()
    restored, elected = seen("kept")[:2]
    assert restored == ("restored", elected[1], ["a"])
    assert elected[0] == "elected" and elected[2] == ["a"]


def test_a_leader_whose_node_stops_in_good_order_steps_down(tmp_path: Path) -> None:
    alone = node(tmp_path, "n1")
    with fleet.connect(alone.address, secret=SECRET) as client:
        client.create_group("stopped", Book, replicas=1)
        status = client.status("stopped")
    alone.stop()
    assert seen("stopped")[-1] == ("stepped down", status.member, status.term)


# -- what hooks may do -----------------------------------------------------------------------------------


def test_a_blocked_hook_delays_neither_commands_nor_other_groups(client: fleet.Fleet) -> None:
    slow = client.create_group("blocked", Slow)
    book = client.create_group("beside", Book)
    for number in range(1, 51):
        assert slow.write("a") == number
        book.write("a")
    eventually(lambda: len(seen("beside", "committed")) == 50)
    assert not seen("blocked")
    GATES["blocked"].set()
    eventually(lambda: len(seen("blocked")) == 50)
    assert seen("blocked") == [(number,) for number in range(1, 51)]


def test_a_hook_that_raises_is_logged_and_harms_nothing(
    client: fleet.Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "fleet.objects.hooks"):
        sore = client.create_group("sore", Sore)
        assert [sore.write("a"), sore.write("a")] == [1, 2]
        eventually(lambda: seen("sore") == [(1,), (2,)])
    texts = [record.getMessage() for record in caplog.records]
    assert texts == ["group=sore hook=on_elected raised", "group=sore hook=on_committed raised"]


def test_a_hook_may_call_its_own_group(client: fleet.Fleet) -> None:
    echo = client.create_group("echo", Echo)
    echo.write("call")
    eventually(lambda: echo.read() == ["call", "answer"])


def test_hooks_travel_by_value_with_their_data_class(client: fleet.Fleet) -> None:
    class LocalHooks(fleet.LeaderHooks["Local"]):
        def on_committed(self, event: fleet.Committed) -> None:
            from tests.objects import test_hooks

            test_hooks.SEEN[self.group].append((event.value, type(self)))

    class Local(fleet.Data, hooks=LocalHooks):
        count: int = 0

        @fleet.command
        def add(self) -> int:
            self.count += 1
            return self.count

    client.create_group("local", Local).add()
    ((value, kind),) = eventually(lambda: seen("local"))
    assert (value, kind.__name__) == (1, "LocalHooks")


# -- declaring ---------------------------------------------------------------------------------------------


def test_hooks_are_inherited_and_travel_by_reference() -> None:
    class Heir(Book):
        pass

    assert Heir.__fleet_hooks__ is Notes and Data.__fleet_hooks__ is None
    assert decode_class(encode_class(Book)).__dict__["__fleet_hooks__"] is Notes


@pytest.mark.parametrize("hooks", [Notes(), int, "Notes"])
def test_hooks_are_a_class_of_hooks(hooks: Any) -> None:
    with pytest.raises(ConfigError):
        type("Bad", (fleet.Data,), {}, hooks=hooks)


def test_hooks_that_could_never_run_are_refused() -> None:
    class Mistyped(fleet.LeaderHooks[Any]):
        def on_commited(self, event: fleet.Committed) -> None: ...

    class Async(fleet.LeaderHooks[Any]):
        async def on_stepped_down(self, term: int) -> None: ...  # type: ignore[override]

    class Needy(fleet.LeaderHooks[Any]):
        def __init__(self, address: str) -> None: ...

    for hooks, word in ((Mistyped, "on_commited"), (Async, "async"), (Needy, "without arguments")):
        with pytest.raises(ConfigError, match=word) as caught:
            type("Bad", (fleet.Data,), {}, hooks=hooks)
        assert isinstance(caught.value, FleetError)
