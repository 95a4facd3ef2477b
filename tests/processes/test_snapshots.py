"""Snapshots of a state worth the name, on real disks and links."""

import random

import fleet
from tests.processes.nodes import (
    Cluster,
    CounterLoad,
    NodeProcess,
    await_all_caught_up,
    eventually,
    leader_node,
    member_status,
)
from tests.support.classes import Counter, Shelf

SMALL_LOG = fleet.GroupConfig(
    heartbeat_ms=60,
    election_ms=400,
    snapshot_factor=1.0,
    snapshot_floor_bytes=64 << 10,
    snapshot_chunk_bytes=64 << 10,
    log_tail=8,
)
"""A snapshot as soon as the log is as long as the state, and hardly any log behind it."""
BOOK_BYTES = 20 << 10


def fill(shelf: Shelf, titles: list[str], rng: random.Random) -> dict[str, bytes]:
    books = {title: rng.randbytes(BOOK_BYTES) for title in titles}
    for future in [shelf.put.submit(title, text) for title, text in books.items()]:
        future.result(20)
    return books


def check(shelf: Shelf, books: dict[str, bytes]) -> None:
    assert shelf.titles() == sorted(books)
    assert all(shelf.text(title) == text for title, text in books.items())


def test_s41_a_follower_that_was_away_for_long_catches_up_by_a_snapshot(three: Cluster) -> None:
    """3 MB of state, of which the log holds the last few entries only. Commands go on meanwhile."""
    client = three.connect(timeout=20.0)
    shelf = client.create_group("shelf", Shelf, config=SMALL_LOG)
    rng = random.Random(1)
    books = fill(shelf, [f"early {number}" for number in range(10)], rng)
    follower = three.others(leader_node(three, client, "shelf"))[0]
    had = member_status(three, client, "shelf", follower)
    follower.kill()
    for number in range(0, 1000, 10):  # commands that are submitted together share an entry
        books |= fill(shelf, [f"later {number + place}" for place in range(10)], rng)
        if number >= 130 and client.status("shelf").snapshot_index > had.last_index + 8:
            break
    follower.start()
    books |= fill(shelf, [f"meanwhile {number}" for number in range(20)], rng)
    await_all_caught_up(three, client, "shelf")
    now = eventually(lambda: member_status(three, client, "shelf", follower))
    assert now.snapshot_index > had.last_index
    client.transfer_leader("shelf", follower.name)
    assert f"{follower.name}@" in follower.log.read_text().rpartition(" leads")[0].splitlines()[-1]
    check(shelf, books)


def test_s33_a_group_restarts_from_its_snapshots(three: Cluster) -> None:
    client = three.connect(timeout=20.0)
    shelf = client.create_group("shelf", Shelf, config=SMALL_LOG)
    rng = random.Random(2)
    books: dict[str, bytes] = {}
    for round_number in range(3):
        books |= fill(shelf, [f"book {round_number}.{number}" for number in range(20)], rng)
        eventually(lambda: client.status("shelf").snapshot_index > 0, what="a snapshot")
        three.restart_all(three.nodes, NodeProcess.kill)
        check(shelf, books)
    for node in three.nodes:
        eventually(lambda: member_status(three, client, "shelf", node).snapshot_index > 0)


def test_s43_a_command_is_executed_once_also_when_snapshots_come_between(three: Cluster) -> None:
    """The sessions travel in the snapshot: members that are killed while it is taken, sent and installed
    neither lose nor repeat what their clients ask again."""
    config = fleet.GroupConfig(
        heartbeat_ms=60, election_ms=400, snapshot_floor_bytes=1 << 10, snapshot_factor=1.0, log_tail=4
    )
    client = three.connect(timeout=20.0)
    counter = client.create_group("visits", Counter, config=config)
    with CounterLoad(counter, writers=3, readers=1, depth=10) as load:
        for node in three.nodes:
            load.await_more(100)
            node.kill()
            load.await_more(200)
            node.start()
            eventually(lambda: member_status(three, client, "visits", node).applied > 0)
    load.check()
    await_all_caught_up(three, client, "visits")
    assert member_status(three, client, "visits", three.nodes[0]).snapshot_index > 0
