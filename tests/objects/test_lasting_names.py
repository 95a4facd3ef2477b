"""Nothing on a disk or on a link names a module of this library: a file may move, and disks stay readable."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest

import fleet
from fleet import recipes
from fleet.actors.base import wire
from fleet.cli.demo.data import Counter
from fleet.cluster.commands import Cluster
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import FleetError, NoSuchNode, Rejected
from fleet.objects.class_refs import BUILT_IN, class_name, decode_class, encode_class
from fleet.objects.declare import shape_of
from fleet.objects.group_handle import bind
from fleet.storage import LmdbStore
from tests.house.test_layers import modules

SECRET = b"a secret of the tests of names, long enough"
NAMES = sorted((name for name, _ in modules() if "." in name), key=len, reverse=True)
OURS = re.compile(b"|".join(re.escape(name.encode()) for name in NAMES))
SMALL = fleet.GroupConfig(
    snapshot_floor_bytes=0, snapshot_factor=1.0, snapshot_ceiling_bytes=1 << 20, log_tail=0
)


def by_value() -> type[Any]:
    """A class that refers to all that users' classes refer to."""

    class Hooks(fleet.LeaderHooks["Shop"]):
        def on_elected(self, *about: Any) -> None:
            fleet.GroupConfig()

    class Shop(fleet.Data, hooks=Hooks):
        settings: fleet.GroupConfig = fleet.GroupConfig()
        told: list[float] = []

        @fleet.command
        def tell(self) -> int:
            self.told.append(fleet.ctx.now)
            return fleet.ctx.index

        @fleet.query
        def count(self) -> int:
            return len(self.told)

    return Shop


def functional() -> type[Any]:
    class Total(fleet.Data):
        @staticmethod
        def new() -> int:
            return 0

        @staticmethod
        def command(state: int, arg: int) -> tuple[int, int]:
            return state + arg, state + arg

        @staticmethod
        def query(state: int, arg: int) -> int:
            return state

    return Total


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What goes over links, while the test runs."""
    sent: list[bytes] = []
    append = wire._append

    def recording(to: bytearray, dst: Any, src: Any, message: Any, tags: Any) -> None:
        before = len(to)
        append(to, dst, src, message, tags)
        sent.append(bytes(to[before:]))

    monkeypatch.setattr(wire, "_append", recording)
    yield sent


def node(home: Path, name: str, *join: str) -> fleet.Node:
    return fleet.Node(name, "127.0.0.1:0", home / name, secret=SECRET, join=join)


def refused(call: Any, *args: Any) -> FleetError:
    with pytest.raises(Rejected) as caught:
        call(*args)
    return cast(FleetError, caught.value.value)


def use_all(client: fleet.Fleet) -> set[str]:
    """Every command of the cluster's own group. Returns which."""
    cluster = bind(Cluster, CLUSTER_GROUP, cast(Any, client))
    client.change_config(CLUSTER_GROUP, SMALL)
    client.create_group("count", Counter, replicas=2, config=SMALL).add()
    cast(Any, client.create_group("shop", by_value(), config=SMALL)).tell()
    cast(Any, client.create_group("total", functional(), config=SMALL)).command(7)
    client.change_config("count", SMALL)
    client.pin_group("count", ["n2", "n1"], replicas=2)
    client.pin_group("count", [])
    cluster.prefer_leader("count", "n1")
    client.set_replicas("count", 1)
    client.set_purge_after(60)
    client.finalize()
    client.remove_group("total")
    cluster.note_config("count", 1, SMALL, 0)
    cluster.note_class("count", 1, b"", 0)
    cluster.join("n3", "disk", "zone", "127.0.0.1:1", 1, "active")
    cluster.report("n2", "n3", "disk", True)
    cluster.report("n2", "n3", "disk", False)
    cluster.set_state("n3", "leaving")
    cluster.left("n3", "disk")
    cluster.join(
        name="n4", incarnation="disk", zone="zone", address="127.0.0.1:1", weight=1.0, state="active"
    )
    cluster.purge("n4")
    cluster.cleaned((1,), "n1")
    error = refused(cluster.purge, "nobody")
    assert isinstance(error, NoSuchNode) and "nobody" in error.what and error.known == "n1, n2"
    cluster.view(0)
    for group in ("count", "shop"):
        client.status(group)
    return {
        *(
            "add_group",
            "cleaned",
            "join",
            "left",
            "note_class",
            "note_config",
            "pin_group",
            "prefer_leader",
            "purge",
        ),
        *("remove_group", "report", "set_purge_after", "set_replicas", "set_state", "finalize"),
    }


def names_in(data: bytes) -> list[str]:
    return [
        data[max(0, one.start() - 40) : one.end() + 40].decode(errors="replace")
        for one in OURS.finditer(data)
    ]


def test_neither_a_disk_nor_a_link_names_a_module_of_ours(tmp_path: Path, frames: list[bytes]) -> None:
    with node(tmp_path, "n1") as first, node(tmp_path, "n2", first.address) as second:
        with fleet.connect([first.address, second.address], secret=SECRET) as client:
            assert use_all(client) == set(shape_of(Cluster).commands)
            client.survey()
            assert {info.name for info in client.nodes()} == {"n1", "n2"}
            drain = client.drain("n2", wait_s=20.0)
            assert drain > 0
    store = LmdbStore(tmp_path / "n1", "fleet", "n1")
    groups = {group.name: group.number for group in store.groups()}
    kept = [name for name, number in groups.items() if store.load(number).snapshot is not None]
    store.close()
    assert CLUSTER_GROUP in kept and "shop" in kept
    assert len(frames) > 100
    for frame in frames:
        assert names_in(frame) == []
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert names_in(path.read_bytes()) == [], path


def test_what_is_looked_for_would_be_found() -> None:
    import pickle

    assert names_in(pickle.dumps(Cluster)) and names_in(pickle.dumps(NoSuchNode("")))


@pytest.mark.parametrize("tag", BUILT_IN)
def test_a_built_in_class_is_found_by_its_tag(tag: str) -> None:
    module, name = BUILT_IN[tag]
    cls = getattr(import_module(module), name)
    assert class_name(encode_class(cls)) == tag and len(encode_class(cls)) < 20
    assert decode_class(encode_class(cls)) is cls


def test_every_data_class_of_the_recipes_is_built_in() -> None:
    """Callers create groups of the library's own classes, and could not of queues."""
    ours = [getattr(recipes, name) for name in recipes.__all__]
    classes = [one for one in ours if isinstance(one, type) and issubclass(one, fleet.Data)]
    assert len(classes) >= 9
    assert {(one.__module__, one.__qualname__) for one in classes} <= set(BUILT_IN.values())
