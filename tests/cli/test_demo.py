"""`fleet demo`: it shows what it promises, fails loudly, and leaves nothing behind."""

import os
import re
import signal
from pathlib import Path
from time import monotonic

import pytest

from fleet.cli.demo.load import Ack, DemoClient, Load, percentile
from fleet.cli.demo.nodes import DemoFailed

from .processes import processes_with, read_until, run, started


def left_behind(directory: Path) -> list[str]:
    return [*map(str, directory.glob("fleet-demo-*")), *map(str, processes_with(str(directory)))]


def test_the_demo_shows_a_failover_that_loses_nothing_within_30_s(tmp_path: Path) -> None:
    began_at = monotonic()
    demo = run(tmp_path, "demo", "--one", "--plain", "--seconds", "2")
    assert (demo.returncode, demo.stderr) == (0, ""), demo.stdout + demo.stderr
    assert monotonic() - began_at < 30
    for line in (
        r"led from n[123]",
        r"killed (n[123]), the leader, with SIGKILL",
        r"acknowledged again after \d+\.\d\d s",
        r"n[123] leads now, in term \d+",
        r"n[123] has caught up",
        r"all 3 members have applied their log up to \d+",
        r"failover \d+\.\d\d s",
        r"rate \d+ commands/s before",
    ):
        assert re.search(line, demo.stdout), f"no {line!r} in:\n{demo.stdout}"
    equal = re.search(r"value (\d+) = (\d+) acknowledged increments", demo.stdout)
    assert equal is not None and equal[1] == equal[2] and int(equal[1]) > 0
    assert left_behind(tmp_path) == []
    assert not (tmp_path / "config").exists(), "it has a secret of its own"


def test_the_fleet_loses_a_node_and_gets_another_and_loses_no_command(tmp_path: Path) -> None:
    demo = run(tmp_path, "demo")
    assert (demo.returncode, demo.stderr) == (0, ""), demo.stdout + demo.stderr
    for line in (
        r"30 groups with 3 replicas",
        r"killed n2, which led \d+ groups, with SIGKILL",
        r"all 30 groups acknowledge again after \d+\.\d\d s",
        r"n2 is purged and its members are replaced",
        r"n5 has its share after \S+ s; (\d+) members moved, \1 is the least",
        r"n1 has left after",
        r"\d+ acknowledged increments = the sum of 30 counters, group by group",
    ):
        assert re.search(line, demo.stdout), f"no {line!r} in:\n{demo.stdout}"
    tables = re.findall(r"node +zone +state +leads +members\n((?: +n\d .*\n)+)", demo.stdout)
    assert len(tables) == 5
    for table in tables[:1] + tables[2:]:
        rows = [row.split() for row in table.splitlines()]
        assert sum(int(row[3]) for row in rows) == 30 and sum(int(row[4]) for row in rows) == 90
    assert left_behind(tmp_path) == []


def test_when_nodes_die_by_themselves_the_demo_says_so_and_fails(tmp_path: Path) -> None:
    with started(tmp_path, "demo", "--one", "--plain") as demo:
        read_until(demo, "clients increment")
        for victim in processes_with(str(tmp_path))[:2]:
            os.kill(victim, signal.SIGKILL)
        _, said = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert re.search(r"fleet demo: node n[123] ended by itself \(signal SIGKILL\)", said)
    assert "Traceback" not in said
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    "number, options", [(signal.SIGINT, ["--one", "--plain"]), (signal.SIGTERM, [])], ids=["one", "fleet"]
)
def test_an_interrupted_demo_cleans_up(tmp_path: Path, number: int, options: list[str]) -> None:
    with started(tmp_path, "demo", *options) as demo:
        read_until(demo, "clients increment")
        demo.send_signal(number)
        _, said = demo.communicate(timeout=30)
    assert demo.returncode == 128 + number
    assert "interrupted" in said and "Traceback" not in said
    assert left_behind(tmp_path) == []


def test_a_demo_of_no_length_is_asked_for_wrongly(tmp_path: Path) -> None:
    assert run(tmp_path, "demo", "--seconds", "0").returncode == 2


def book(*numbers: int) -> Load:
    """What clients would hold after these numbers were given out, two clients in turns."""
    load = Load([], "demo", 0)
    for part in (numbers[::2], numbers[1::2]):
        client = DemoClient.__new__(DemoClient)
        client.acks = [Ack(number - 0.5, float(number), number) for number in part]
        load.clients.append(client)
    return load


def test_only_a_book_without_gap_and_repeat_is_right() -> None:
    book(1, 2, 3, 4).verify(4)
    book().verify(0)
    with pytest.raises(DemoFailed, match="counter is 4.* 1 increments were not acknowledged"):
        book(1, 2, 4).verify(4)
    with pytest.raises(DemoFailed, match="1 numbers were returned twice"):
        book(1, 2, 2, 3).verify(3)
    with pytest.raises(DemoFailed, match="counter is 3"):
        book(1, 2, 3, 4).verify(3)


def test_the_failover_ends_with_a_command_that_was_sent_after_the_kill() -> None:
    load = book(1, 2, 3, 4)
    assert load.first_ack_sent_after(2.4) == 3.0
    assert load.first_ack_sent_after(2.6) == 4.0
    assert load.first_ack_sent_after(4.0) is None
    assert load.rate(1.0, 3.0) == 1.0


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([], 0.99) == 0.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([1.0], 0.99) == 1.0
