"""What operators do while other things go wrong."""

from typing import Self

from fleet.actors.messages.operator import ChangeConfig, TransferLeader
from fleet.cluster.state import ACTIVE, LEAVING
from fleet.raft.ids import node_of
from fleet.sim.faults.fault import Fault, listed, span
from fleet.sim.faults.field import Field
from fleet.sim.faults.repair import remove_lost
from fleet.sim.faults.settings import config_of
from fleet.sim.world.objects import ENCODED, KINDS
from fleet.sim.world.timeline import MS, S


class Transfer(Fault, frozen=True, array_like=True, tag="transfer"):
    group: str
    other: str

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        group = field.any_group()
        members = field.world.members_of(group)
        return cls(group, node_of(field.rng.choice(members).core.id)) if members else None

    def do(self, field: Field) -> bool:
        members = field.world.members_of(self.group)
        found = [member.core.id for member in members if node_of(member.core.id) == self.other]
        if not found:
            return False
        op, admin = TransferLeader(found[0]), field.admin
        admin.in_turn(lambda: admin.ask(op, self.group, "", lambda value, error: None))
        return True

    def words(self, now: int) -> str:
        return f"an operator moves the leadership of {self.group} to {self.other}"


class Configure(Fault, frozen=True, array_like=True, tag="configure"):
    """A group gets other settings."""

    group: str
    draw_of: int
    """What the settings are drawn from."""

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        groups = list(field.groups.kinds)
        return cls(field.rng.choice(groups), field.rng.randint(0, 999)) if groups else None

    def do(self, field: Field) -> None:
        op, admin = ChangeConfig(config_of(self.draw_of)), field.admin
        admin.in_turn(lambda: admin.ask(op, self.group, "", lambda value, error: None))

    def words(self, now: int) -> str:
        config = config_of(self.draw_of)
        quick = f"elections of {config.election_ms} ms, snapshots from {config.snapshot_floor_bytes} bytes on"
        return f"an operator gives {self.group} other settings: {quick}"


class Drain(Fault, frozen=True, array_like=True, tag="drain"):
    """At most two nodes at a time leave; or one is called back."""

    node: str
    state: str

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        node = field.any()
        state = field.rng.choice([LEAVING, LEAVING, ACTIVE])
        return cls(node.name, state) if may_drain(field, node.name) else None

    def do(self, field: Field) -> bool:
        if not (may_drain(field, self.node) and field.shrink()):
            return False
        field.nodes[self.node].has_left = True
        field.command("set_state", self.node, self.state)
        return True

    def words(self, now: int) -> str:
        return f"an operator sets node {self.node} to {self.state}"


def may_drain(field: Field, name: str) -> bool:
    others = sum(node.has_left for node in field.nodes.values() if node.name != name)
    return field.spoiled is None and others < min(2, len(field.nodes) - 1)


class Purge(Fault, frozen=True, array_like=True, tag="purge"):
    """An operator takes a node for lost, be it so or not."""

    node: str

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        return cls(field.any().name) if field.spoiled is None else None

    def do(self, field: Field) -> bool:
        if not field.shrink():
            return False
        field.command("purge", self.node)
        return True

    def words(self, now: int) -> str:
        return f"an operator declares node {self.node} lost"


class PurgeWindow(Fault, frozen=True, array_like=True, tag="purge_window"):
    """Nodes that are silent for so long are taken for lost."""

    us: int

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        return cls(field.rng.choice([2, 3, 5, 600]) * S) if field.spoiled is None else None

    def do(self, field: Field) -> bool:
        if not field.shrink():
            return False
        field.command("set_purge_after", self.us // MS)
        return True

    def words(self, now: int) -> str:
        return f"an operator lets nodes be taken for lost after {span(self.us)}"


# -- groups ------------------------------------------------------------------------------------------


class AddGroup(Fault, frozen=True, array_like=True, tag="add_group"):
    group: str
    kind: str = "counter"
    replicas: int = 3
    draw_of: int = 0
    """What its settings are drawn from; it is in memory only if 4 leaves 3 of that."""
    pinned: tuple[str, ...] = ()

    @property
    def is_in_memory(self) -> bool:
        return self.draw_of % 4 == 3

    @classmethod
    def draw(cls, field: Field) -> Self:
        rng, name = field.rng, f"x{field.rng.randint(1, 5)}"
        replicas = 3 if field.spoiled is not None else rng.choice([1, 2, 3, 3, 5])
        pinned: tuple[str, ...] = ()
        if rng.random() < 0.2:
            pinned = tuple(rng.sample(list(field.nodes), min(3, len(field.nodes))))
        return cls(name, rng.choice(list(KINDS)), replicas, rng.randint(0, 999), pinned)

    def do(self, field: Field) -> bool:
        if self.replicas < 3 and not field.shrink():
            return False
        args = self.replicas, ENCODED[self.kind], config_of(self.draw_of), self.pinned
        kept = ((), True) if self.is_in_memory else ()
        field.command("add_group", self.group, *args, *kept)
        return True

    def words(self, now: int) -> str:
        where = f", on {listed(self.pinned)}" if self.pinned else ""
        kept = ", in memory only" if self.is_in_memory else ""
        return f"an operator adds group {self.group}, a {self.kind} of {self.replicas} members{where}{kept}"


class OfGroup(Fault, frozen=True, array_like=True):
    """About one of the groups there are, or one that there is not."""

    group: str

    @staticmethod
    def any_of(field: Field) -> str:
        return field.rng.choice([*field.groups.kinds, f"x{field.rng.randint(1, 5)}"])


class RemoveGroup(OfGroup, frozen=True, array_like=True, tag="remove_group"):
    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(f"x{field.rng.randint(1, 5)}")

    def do(self, field: Field) -> None:
        field.command("remove_group", self.group)

    def words(self, now: int) -> str:
        return f"an operator removes group {self.group}"


class Replicas(OfGroup, frozen=True, array_like=True, tag="replicas"):
    count: int

    @classmethod
    def draw(cls, field: Field) -> Self:
        counts = [3, 4, 5] if field.spoiled is not None else [1, 2, 3, 4, 5]
        return cls(cls.any_of(field), field.rng.choice(counts))

    def do(self, field: Field) -> bool:
        if self.count < 3 and not field.shrink():
            return False
        field.command("set_replicas", self.group, self.count)
        return True

    def words(self, now: int) -> str:
        return f"an operator wants {self.count} members of {self.group}"


class Pin(OfGroup, frozen=True, array_like=True, tag="pin"):
    pinned: tuple[str, ...]

    @classmethod
    def draw(cls, field: Field) -> Self:
        rng, names = field.rng, list(field.nodes)
        count = min(3, len(names)) if field.spoiled is not None else rng.randint(1, min(3, len(names)))
        return cls(cls.any_of(field), tuple(rng.sample(names, count)) if rng.random() < 0.7 else ())

    def do(self, field: Field) -> bool:
        if 0 < len(self.pinned) < 3 and not field.shrink():
            return False
        field.command("pin_group", self.group, self.pinned, len(self.pinned))
        return True

    def words(self, now: int) -> str:
        if not self.pinned:
            return f"an operator lets {self.group} live anywhere"
        return f"an operator pins {self.group} to {listed(self.pinned)}"


class Prefer(Fault, frozen=True, array_like=True, tag="prefer"):
    """Some node should lead a group; "": whichever the placement says."""

    group: str
    preferred: str

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any_group(), field.rng.choice([*field.nodes, ""]))

    def do(self, field: Field) -> None:
        field.command("prefer_leader", self.group, self.preferred)

    def words(self, now: int) -> str:
        if not self.preferred:
            return f"an operator lets any node lead {self.group}"
        return f"an operator wants node {self.preferred} to lead {self.group}"


class Calm(Fault, frozen=True, array_like=True, tag="calm"):
    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls()

    def do(self, field: Field) -> None:
        field.calm()
        remove_lost(field)

    def words(self, now: int) -> str:
        return "calm: everything runs and is connected again"
