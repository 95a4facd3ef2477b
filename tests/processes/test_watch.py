"""Watches of real nodes: no event is missed and none comes twice, whatever happens to nodes and leaders."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

import fleet
from fleet.errors import FleetError
from fleet.objects.event import Event
from fleet.objects.watch import Watch
from tests.processes.nodes import CLUSTER, QUICK, Cluster, NodeProcess, eventually, leader_node
from tests.support.classes import Feed


class Watcher:
    """A thread that takes what a watch tells."""

    def __init__(self, watch: Watch) -> None:
        self.events: list[Event] = []
        self.watch = watch
        watch.__enter__()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for event in self.watch:
            self.events.append(event)
            if event.kind == "last":
                return


@contextmanager
def writing(feed: Feed) -> Iterator[list[int]]:
    """Numbers in their order, each again until it is done, from one thread; the block may break what it
    likes. Yields the numbers that were written."""
    done: list[int] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            try:
                feed.write.options(timeout=20.0)("number", len(done))
            except FleetError as error:
                error.again(timeout=20.0) if isinstance(error, fleet.OutcomeUnknown) else None
            done.append(len(done))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def more(done: list[int], count: int = 20) -> None:
    had = len(done)
    eventually(lambda: len(done) >= had + count, what="more to be written")


def test_s54_a_watch_misses_nothing_while_leaders_change_and_nodes_are_killed(three: Cluster) -> None:
    client = three.connect()
    feed = client.create_group("feed", Feed, config=QUICK)
    watchers = [Watcher(one.watch("feed", since=0)) for one in (three.connect(), three.connect(), client)]
    with writing(feed) as done:
        more(done)
        leader = leader_node(three, client, "feed")
        leader.kill()
        more(done)
        leader.start()
        other = next(node for node in three.nodes if node is not leader_node(three, client, "feed"))
        client.transfer_leader("feed", other.name)
        more(done)
        leader = leader_node(three, client, "feed")
        leader.pause()
        more(done)
        leader.resume()
        three.restart_all(three.nodes, NodeProcess.kill)
        more(done)
    feed.write("last")
    for watcher in watchers:
        watcher.thread.join(20.0)
        told = [event.value for event in watcher.events if event.kind == "number"]
        assert told == list(range(len(told))) == list(range(len(done)))
        places = [(event.revision, event.number) for event in watcher.events]
        assert places == sorted(set(places))
    with client.watch("feed", since=watchers[0].events[9]) as again:
        assert again.next(10.0) == watchers[0].events[10]


def test_at_a_shell_a_watch_prints_a_line_an_event(three: Cluster) -> None:
    feed = three.connect().create_group("feed", Feed, config=QUICK)
    feed.write("a", {"n": 1})
    feed.write_many("b", 2)
    lines = said(at_a_shell(three, "feed", "--since", "0", "--count", "3", "--json"))
    assert [msgspec.json.decode(line) for line in lines] == [
        {"group": "feed", "id": "1-0", "revision": 1, "kind": "a", "value": {"n": 1}},
        {"group": "feed", "id": "2-0", "revision": 2, "kind": "b", "value": 0},
        {"group": "feed", "id": "2-1", "revision": 2, "kind": "b", "value": 1},
    ]
    assert said(at_a_shell(three, "feed", "--since=1", "--kind=b", "--count=1")) == ["2-0 b 0"]
    live = at_a_shell(three, "feed", "--since", "2-0")
    assert live.stdout is not None and live.stdout.readline() == "2-1 b 1\n"
    feed.write("c", "live")
    assert live.stdout.readline() == "3-0 c 'live'\n"
    live.send_signal(signal.SIGINT)
    live.communicate(timeout=20)
    for _ in range(2):
        feed.write_many("b", 1500)
    late = at_a_shell(three, "feed", "--since", "1", "--json")
    assert msgspec.json.decode(late.communicate()[1])["error"] == "Compacted" and late.returncode == 1


def said(command: subprocess.Popen[str]) -> list[str]:
    out, err = command.communicate(timeout=20)
    assert command.returncode == 0, err
    return out.splitlines()


def at_a_shell(three: Cluster, *words: str) -> subprocess.Popen[str]:
    connect = ["--connect", three.nodes[0].address, "--secret-file", str(three.secret_file)]
    command = [sys.executable, "-m", "fleet.cli", "watch", *connect, "--cluster", CLUSTER, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
