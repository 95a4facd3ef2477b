"""The past of a group whose class changes, on real processes, and what an upgrade would have changed."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import CannotReplay, CannotUpgrade
from tests.processes.fleet_nodes import NodeFleet
from tests.processes.test_history import KEEPING
from tests.processes.test_upgrades import FIRST, SECOND, Shop

THIRD = SECOND.replace('self.sums["all"] += n', 'self.sums["all"] += n + (n == 7)')


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path / "here"))
    yield Shop(tmp_path)
    sys.modules.pop("tally_shop", None)


@pytest.fixture
def one(yard: NodeFleet, shop: Shop) -> NodeFleet:
    shop.deploy(FIRST, "n1")
    node = yard.add("n1", purge_after=600.0)
    node.path = str(shop.home / "n1")
    node.start()
    yard.await_nodes("n1")
    return yard


def test_each_stretch_is_executed_by_its_own_code_or_the_error_names_the_module(
    one: NodeFleet, shop: Shop
) -> None:
    client = one.client
    group: Any = client.create_group("tally", shop.tally(FIRST), replicas=1, config=KEEPING)
    for n in range(60):
        group.put(n)
    shop.deploy(SECOND, "n1")
    second = shop.tally(SECOND)
    found = client.rehearse("tally", second)
    assert "tally_shop.Tally of version 1" in found.unknown
    assert found.difference is None and found.gone == {"put": 60}
    at = client.upgrade("tally", second)
    group = client.group("tally", second)
    for n in range(60):
        group.record(n)
    total = sum(range(60))
    assert vars(client.at("tally", at)) == {"sums": {"all": total}}, "the state that the switch has left"
    assert vars(client.at("tally", at + 60)) == {"sums": {"all": 2 * total}}
    with pytest.raises(CannotReplay, match="tally_shop.Tally of version 1"):
        client.at("tally", 20)
    shop.deploy(SECOND, "second")
    first = shop.tally(FIRST)
    assert client.at("tally", 20).total == sum(range(20))  # type: ignore[attr-defined]
    back = client.rehearse("tally", first, former=str(shop.home / "second"))
    assert (back.unknown, back.difference) == ("", None)
    assert back.gone == {"record": 60} and back.states > 0, "what the class in force left was turned back"
    names = [call.method for call in client.past_calls("tally")]
    assert names == ["put"] * 60 + ["record"] * 60


def test_an_upgrade_that_would_have_given_another_past_is_refused_and_may_be_forced(
    one: NodeFleet, shop: Shop
) -> None:
    client = one.client
    shop.deploy(SECOND, "n1", "former")
    group: Any = client.create_group("tally", shop.tally(SECOND), replicas=1, config=KEEPING)
    for n in range(12):
        group.record(n)
    shop.deploy(THIRD, "n1")
    third = shop.tally(THIRD)
    former = str(shop.home / "former")
    with pytest.raises(CannotUpgrade, match=r"record\(7\) at revision \d+ differs: 28, state .* before, 29,"):
        client.upgrade("tally", third, former=former)
    with pytest.raises(CannotUpgrade, match=r"a command after revision \d+, up to revision \d+, differs"):
        client.upgrade("tally", third)
    assert group.record(0) == sum(range(12)), "nothing has changed"
    client.upgrade("tally", third, force=True)
    assert client.group("tally", third).get() == sum(range(12))


def test_a_group_that_keeps_nothing_says_so(one: NodeFleet, shop: Shop) -> None:
    client = one.client
    tally = shop.tally(FIRST)
    client.create_group("tally", tally, replicas=1)
    found = client.rehearse("tally", tally)
    assert found.commands == found.states == 0
    assert found.unknown.startswith("nothing could be executed again: the group keeps no past")
