"""Backups of real nodes: while commands go on, and while nodes die."""

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import fleet
from fleet.client import backup_api, copies, restore_api
from fleet.client.backup_file import Backup, BackupWriter, verified
from fleet.errors import DataClassUnavailable, NoSuchGroup, RestoreRefused, Unavailable
from tests.processes.nodes import Cluster, NodeProcess, eventually, leader_node
from tests.support.classes import Counter, Shelf

BOOK_BYTES = 100_000


def filled(client: fleet.Fleet, name: str = "shelf", books: int = 40) -> dict[str, bytes]:
    """4 MB: 16 parts."""
    shelf, rng = client.create_group(name, Shelf), random.Random(name)
    texts = {f"{number}": rng.randbytes(BOOK_BYTES) for number in range(books)}
    for future in [shelf.put.submit(title, text) for title, text in texts.items()]:
        future.result(20)
    return texts


def check(shelf: Shelf, books: dict[str, bytes]) -> None:
    assert shelf.titles() == sorted(books)
    assert all(shelf.text(title) == text for title, text in books.items())


def after(count: int, act: Callable[[], None], items: Iterator[bytes]) -> Iterator[bytes]:
    """The items; `act` is called in front of one of them."""
    for number, item in enumerate(items):
        if number == count:
            act()
        yield item


def test_a_backup_has_all_that_was_acknowledged_before_it_and_nothing_half(
    three: Cluster, tmp_path: Path
) -> None:
    client = three.connect(timeout=20.0)
    counter = client.create_group("visits", Counter)
    stop, told = threading.Event(), [0]

    def count() -> None:
        while not stop.is_set():
            told[0] = counter.add(1)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for number in range(3):
            eventually(lambda: told[0] > 20 * number)
            before = told[0]
            (saved,) = client.backup(tmp_path / f"{number}").groups
            assert before <= saved.revision <= told[0] + 1
    finally:
        stop.set()
        thread.join()
    for number in range(3):
        (saved,) = verified(tmp_path / f"{number}").groups
        (back,) = client.restore(tmp_path / f"{number}", group="visits", name=f"then {number}")
        assert client.group(back.name, Counter).get() == back.revision == saved.revision
    with pytest.raises(RestoreRefused, match="visits"):
        client.restore(tmp_path / "0")
    assert counter.get() == told[0]


def test_a_group_whose_leader_is_killed_while_it_is_copied_is_taken_from_the_next(
    three: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = three.connect(timeout=20.0)
    books = filled(client)
    former = leader_node(three, client, "shelf")
    # Each question to the node that is killed takes all of this:
    monkeypatch.setattr(copies, "PART_S", 1.0)
    parts_of, kills = copies.parts_of, [former]

    def kill() -> None:
        while kills:
            kills.pop().kill()

    def interrupted(*about: Any) -> Iterator[bytes]:
        return after(3, kill, parts_of(*about))

    monkeypatch.setattr(backup_api, "parts_of", interrupted)
    client.backup(tmp_path / "file")
    assert kills == []
    (back,) = client.restore(tmp_path / "file", group="shelf", name="again")
    check(client.group("again", Shelf), books)
    former.start()
    eventually(lambda: len(client.statuses("again")) == 3)


def test_without_a_majority_there_is_no_backup_and_no_file(three: Cluster, tmp_path: Path) -> None:
    client = three.connect(timeout=20.0)
    client.create_group("visits", Counter).add(1)
    first, second, _ = three.nodes
    for node in (first, second):
        node.kill()
    (tmp_path / "to").mkdir()
    with pytest.raises(Unavailable, match="'visits' gave no state within 2 s, and no backup was written"):
        client.backup(tmp_path / "to" / "file", timeout=2.0)
    assert list((tmp_path / "to").iterdir()) == []


def test_a_founder_that_is_killed_while_it_is_given_a_state_takes_it_again(
    three: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = three.connect(timeout=20.0)
    books = filled(client)
    client.backup(tmp_path / "file")
    parts, killed = Backup.parts, list[NodeProcess]()

    def interrupted(backup: Backup, group: Any, since: int = 0) -> Iterator[bytes]:
        def restart() -> None:
            if not killed:
                (info,) = (one for one in client.groups() if one.name == "again")
                (node,) = (one for one in three.nodes if info.initial[0][0].startswith(f"{one.name}@"))
                killed.append(node)
                node.kill()
                node.start()

        return after(5, restart, parts(backup, group, since))

    monkeypatch.setattr(Backup, "parts", interrupted)
    client.restore(tmp_path / "file", group="shelf", name="again")
    assert len(killed) == 1
    check(client.group("again", Shelf), books)


def test_a_group_that_cannot_be_restored_is_removed_again(
    three: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = three.connect(timeout=20.0)
    client.create_group("visits", Counter).add(3)
    client.backup(tmp_path / "file")
    with monkeypatch.context() as patch:
        patch.setattr(client, "_give_state", refusing)
        with pytest.raises(Unavailable, match="was not restored, and is removed again: a word"):
            client.restore(tmp_path / "file", group="visits", name="again")
    assert [one.name for one in client.groups()] == ["visits"]
    eventually(lambda: restores(client, tmp_path / "file", "again"))
    assert client.group("again", Counter).get() == 3


def test_a_group_whose_other_members_come_late_is_restored_and_said_to_be(
    three: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = three.connect(timeout=20.0)
    client.create_group("visits", Counter).add(7)
    client.backup(tmp_path / "file")

    def never(*_: object) -> None:
        raise Unavailable("no leader is known")

    with monkeypatch.context() as patched:
        patched.setattr(type(client), "_await_members", never)
        (back,) = client.restore(tmp_path / "file", group="visits", name="again")
    assert back.left_out == ("its other members have not arrived yet: no leader is known",)
    assert client.group("again", Counter).get() == 7


def test_a_group_that_took_the_name_meanwhile_is_given_nothing_and_stays(
    three: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = three.connect(timeout=20.0)
    books = filled(client)
    client.backup(tmp_path / "file")
    parts, others = Backup.parts, list[Shelf]()

    def replaced(backup: Backup, group: Any, since: int = 0) -> Iterator[bytes]:
        def take_name() -> None:
            if not others:
                client.remove_group("again")
                eventually(lambda: creates(client, "again"))
                others.append(client.group("again", Shelf))
                others[0].put("other", b"text")

        return after(5, take_name, parts(backup, group, since))

    monkeypatch.setattr(Backup, "parts", replaced)
    monkeypatch.setattr(restore_api, "ATTEMPT_S", 1.0)
    with pytest.raises(NoSuchGroup, match="that group was removed, and another one has its name"):
        client.restore(tmp_path / "file", group="shelf", name="again")
    check(others[0], {"other": b"text"})
    check(client.group("shelf", Shelf), books)


def creates(client: fleet.Fleet, name: str) -> bool:
    try:
        client.create_group(name, Shelf)
    except fleet.NotDone:  # the name is not free yet
        return False
    return True


def refusing(*_: object) -> None:
    raise Unavailable("a word")


def restores(client: fleet.Fleet, path: Path, name: str) -> bool:
    try:
        client.restore(path, group="visits", name=name)
    except fleet.NotDone:  # the name is not free yet
        return False
    return True


def test_a_class_that_nodes_do_not_have_is_refused_before_any_group_is_restored(
    three: Cluster, tmp_path: Path
) -> None:
    client = three.connect(timeout=20.0)
    client.create_group("visits", Counter).add(3)
    client.backup(tmp_path / "file")
    found = verified(tmp_path / "file")
    (visits,) = found.groups
    missing = visits.data_class.replace(b"tests.support.classes", b"tests.support.nowhere")
    with BackupWriter(tmp_path / "other", found.head) as writer:
        for group in (replace(visits, name="first"), replace(visits, name="other", data_class=missing)):
            writer.begin(group)
            for part in found.parts(visits):
                writer.add(part)
            assert writer.end()
        writer.finish()
    with pytest.raises(DataClassUnavailable, match="nowhere"):
        client.restore(tmp_path / "other")
    assert [one.name for one in client.groups()] == ["visits"]


def test_clients_of_the_group_that_was_there_before_are_not_taken_for_others(
    three: Cluster, tmp_path: Path
) -> None:
    """Their sessions are numbered by the log, which goes on where the backup was taken."""
    client, other = three.connect(timeout=20.0), three.connect(timeout=20.0)
    counter = client.create_group("visits", Counter)
    counter.add(1)
    client.backup(tmp_path / "file")
    before = other.group("visits", Counter)
    assert before.add(1) == 2
    client.remove_group("visits")
    eventually(lambda: restores(client, tmp_path / "file", "visits"))
    assert counter.get() == 1
    assert before.add(1) == 2 and counter.get() == 2
