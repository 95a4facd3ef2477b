"""Groups restored as they were at an earlier revision, on real processes."""

from pathlib import Path
from typing import Any

import pytest

import fleet
from fleet.client.backup_file import verified
from fleet.errors import BadArguments, CannotReplay, NotKept, OtherCode
from tests.processes.fleet_nodes import NodeFleet
from tests.processes.test_history import KEEPING, OFTEN, TIMES, bases, filled
from tests.processes.test_history_switches import one, shop
from tests.processes.test_upgrades import FIRST, SECOND, Shop
from tests.support.purse import Purse
from tests.support.waiting import eventually

__all__ = ["one", "shop"]


def test_a_group_is_restored_as_it_was_with_the_keys_of_then_and_keeps_its_own_past(
    yard: NodeFleet, tmp_path: Path
) -> None:
    yard.start("n1", "n2", "n3")
    client = yard.client
    purse: Any = client.create_group("purse", Purse, config=KEEPING)
    first = purse.put.options(key="first")(1)
    seen = filled(purse)
    second = purse.put.options(key="second")(1)
    filled(purse, 20)
    eventually(lambda: bases(client) and min(bases(client)) > 2, 10, "snapshots of every member")
    for revision in list(seen)[:: len(seen) // 3]:
        made = client.backup(tmp_path / f"{revision}", groups=["purse"], at=revision)
        assert [group.revision for group in made.groups] == [revision]
        (back,) = client.restore(tmp_path / f"{revision}", group="purse", name=f"purse {revision}")
        again: Any = client.group(back.name, Purse)
        assert (back.revision, again.look()) == (revision, seen[revision])
        assert again.put.options(key="first")(1) == first, "it was executed before"
        now = again.put.options(key="second")(1)
        assert now["balance"] == seen[revision]["balance"] + 1, "it was not, in this past"
        assert now["revision"] > revision
        assert vars(client.at(back.name, revision, Purse)) == seen[revision]
        assert vars(client.at(back.name, now["revision"], Purse)) == now
    assert purse.put.options(key="second")(1) == second
    newest = purse.put(1)["revision"]
    with pytest.raises(NotKept, match=f"has come to revision {newest}, not {newest + 1} yet"):
        client.backup(tmp_path / "file", groups=["purse"], at=newest + 1)
    with pytest.raises(BadArguments, match="of one group: say which"):
        client.backup(tmp_path / "file", at=1)
    assert not (tmp_path / "file").exists() and not list(tmp_path.glob("*.partial"))


def test_a_file_with_the_past_restores_any_revision_when_the_group_is_gone(
    yard: NodeFleet, tmp_path: Path
) -> None:
    yard.start("n1")
    client = yard.client
    purse: Any = client.create_group("purse", Purse, replicas=1, config=KEEPING)
    seen = filled(purse)
    client.create_group("other", Purse, replicas=1)
    made = client.backup(tmp_path / "file", past=True)
    assert [bool(one.past_size) for one in made.groups] == [False, True]
    (whole,) = (one for one in verified(tmp_path / "file").groups if one.past_size)
    for name in ("purse", "other"):
        client.remove_group(name)
    for revision in (*list(seen)[:: len(seen) // 3], whole.revision):
        (back,) = client.restore(tmp_path / "file", group="purse", name=f"purse {revision}", at=revision)
        again: Any = client.group(back.name, Purse)
        assert back.revision == revision
        assert again.look() == seen.get(revision, seen[max(seen)])
    with pytest.raises(NotKept, match=rf"up to revision {whole.revision}, and not {whole.revision + 1}"):
        client.restore(tmp_path / "file", group="purse", at=whole.revision + 1)
    with pytest.raises(NotKept, match="has no past of group 'other'"):
        client.restore(tmp_path / "file", group="other", at=1)
    with pytest.raises(BadArguments, match="is for one group: say which"):
        client.restore(tmp_path / "file", at=1)
    assert "purse" not in {one.name for one in client.groups()}
    client.restore(tmp_path / "file")


def test_what_is_not_kept_any_more_or_never_was_is_no_backup(yard: NodeFleet, tmp_path: Path) -> None:
    yard.start("n1")
    client = yard.client
    often = fleet.GroupConfig(**OFTEN, **TIMES)  # type: ignore[arg-type]
    filled(client.create_group("purse", Purse, replicas=1, config=often))
    with pytest.raises(NotKept, match=r"keeps no past, .* 0: revision 3 is not kept any more, the oldest"):
        client.backup(tmp_path / "file", groups=["purse"], at=3)
    assert not (tmp_path / "file").exists()


def test_the_class_of_then_comes_back_and_goes_on_to_that_of_now(
    one: NodeFleet, shop: Shop, tmp_path: Path
) -> None:
    """The group's class was switched after that revision. The nodes must have the code of then, as for any
    backup; then the class is upgraded like any other."""
    client = one.client
    group: Any = client.create_group("tally", shop.tally(FIRST), replicas=1, config=KEEPING)
    for n in range(40):
        group.put(n)
    shop.deploy(SECOND, "n1")
    second = shop.tally(SECOND)
    switched = client.upgrade("tally", second)
    client.group("tally", second).record(5)
    with pytest.raises(CannotReplay, match="tally_shop.Tally of version 1"):
        client.backup(tmp_path / "former", groups=["tally"], at=switched - 21)
    client.backup(tmp_path / "switched", groups=["tally"], at=switched)
    first = shop.tally(FIRST)
    client.backup(tmp_path / "former", groups=["tally"], at=switched - 21)
    client.restore(tmp_path / "switched", group="tally", name="at the switch")
    assert client.group("at the switch", second).get() == sum(range(40))
    with pytest.raises(OtherCode):
        client.restore(tmp_path / "former", group="tally", name="before")
    shop.deploy(FIRST, "n1")
    client.restore(tmp_path / "former", group="tally", name="before")
    assert client.group("before", first).get() == sum(range(20))
    shop.deploy(SECOND, "n1")
    second = shop.tally(SECOND)
    client.upgrade("before", second)
    assert client.group("before", second).record(1) == sum(range(20)) + 1
