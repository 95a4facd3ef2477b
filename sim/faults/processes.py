"""Faults of processes: they die, stand still, are busy, or lose one of their actors."""

from typing import Self

from fleet.cluster.state import CLUSTER_GROUP
from fleet.sim.faults.failing import VITAL, Failing, actor_of, actors_of, messages_of
from fleet.sim.faults.fault import Fault, moment, return_in_words, span, steps_in_words
from fleet.sim.faults.field import Field
from fleet.sim.world.timeline import MS


class Kill(Fault, frozen=True, array_like=True, tag="kill"):
    node: str
    back_us: int | None

    @classmethod
    def draw(cls, field: Field) -> Self:
        name = field.any().name
        comes_back = field.rng.random() < 0.7
        return cls(name, field.rng.randint(1, 500 * MS) if comes_back else None)

    def do(self, field: Field) -> None:
        field.kill(self.node, self.back_us)

    def words(self, now: int) -> str:
        return f"the process of node {self.node} is killed; {return_in_words(now, self.back_us)}"


class Power(Kill, frozen=True, array_like=True, tag="power"):
    def do(self, field: Field) -> None:
        field.kill(self.node, self.back_us, power=True)

    def words(self, now: int) -> str:
        return f"node {self.node} loses power; {return_in_words(now, self.back_us)}"


class KillAll(Fault, frozen=True, array_like=True, tag="kill_all"):
    """All at once, and back in any order."""

    power: bool
    steps: tuple[tuple[str, int], ...]

    @classmethod
    def draw(cls, field: Field) -> Self:
        power = field.rng.random() < 0.5
        return cls(power, tuple((name, field.rng.randint(1, 2000 * MS)) for name in field.nodes))

    def do(self, field: Field) -> None:
        for name, back_us in self.steps:
            if name in field.nodes:
                field.kill(name, back_us, self.power)

    def words(self, now: int) -> str:
        how = "lose power" if self.power else "are killed"
        return f"all nodes {how}; back are {steps_in_words(now, self.steps)}"


class Rolling(Fault, frozen=True, array_like=True, tag="rolling"):
    """One after the other in good order, as for an upgrade: (node, after us, away for us)."""

    steps: tuple[tuple[str, int, int], ...]

    @classmethod
    def draw(cls, field: Field) -> Self:
        after_us = 0
        steps = []
        for name in field.nodes:
            after_us += field.rng.randint(1, 1500 * MS)
            steps.append((name, after_us, field.rng.randint(1, 300 * MS)))
        return cls(tuple(steps))

    def do(self, field: Field) -> None:
        for name, after_us, still_us in self.steps:
            if name in field.nodes:
                field.world.after(after_us, field.roll, name, still_us)

    def words(self, now: int) -> str:
        return f"the nodes are restarted in good order: {steps_in_words(now, self.steps)}"


class Pause(Fault, frozen=True, array_like=True, tag="pause"):
    node: str
    us: int

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.randint(1, 6000 * MS))

    def do(self, field: Field) -> None:
        process = field.nodes[self.node].process
        if process is not None:
            process.pause()
            field.world.after(self.us, process.resume)

    def words(self, now: int) -> str:
        return f"node {self.node} stands still until {moment(now + self.us)}"


class Busy(Fault, frozen=True, array_like=True, tag="busy"):
    node: str
    us: int

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.randint(1, 5000 * MS))

    def do(self, field: Field) -> None:
        field.nodes[self.node].busy_until = field.world.now + self.us

    def words(self, now: int) -> str:
        return f"node {self.node} is busy until {moment(now + self.us)}: its turns end after any message"


class Fail(Fault, frozen=True, array_like=True, tag="fail"):
    """One actor fails just before it would have handled a message of some kind."""

    node: str
    actor: str
    """One of VITAL, or the group of a member."""
    message: str
    silently: bool
    back_us: int
    """When the node is back, if it cannot be without this actor."""

    @classmethod
    def draw(cls, field: Field) -> Self | None:
        """A member of the cluster as often as all others together."""
        node, rng = field.any(), field.rng
        actors = list(actors_of(node))
        if not actors:
            return None
        actor = CLUSTER_GROUP if CLUSTER_GROUP in actors and rng.random() < 0.5 else rng.choice(actors)
        message = rng.choice(messages_of(actor))
        return cls(node.name, actor, message, rng.random() < 0.5, rng.randint(1, 2000 * MS))

    def do(self, field: Field) -> bool:
        node = field.nodes[self.node]
        found = actor_of(node, self.actor)
        if found is None:
            return False
        node.restart_us = self.back_us
        field.failing.append(Failing(node, found, self.message, self.silently))
        return True

    def words(self, now: int) -> str:
        who, before = self.actor, f"before its next {self.message}"
        if who in VITAL:
            back = return_in_words(now, self.back_us).removeprefix("it ")
            return f"the {who} of node {self.node} ends {before}; the node {back}"
        how = "dies without a word" if self.silently else "fails"
        return f"the member of {who} on node {self.node} {how} {before}"


class SlowCode(Fault, frozen=True, array_like=True, tag="slow_code"):
    """Users' code takes time: methods, hooks and imports, each time up to so much."""

    node: str
    us: int

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.choice([1, 20, 500]) * MS)

    def do(self, field: Field) -> None:
        field.nodes[self.node].code_us = self.us

    def words(self, now: int) -> str:
        return f"code of users on node {self.node} takes up to {span(self.us)} each time"


class BadCode(Fault, frozen=True, array_like=True, tag="bad_code"):
    """Importing users' classes raises, or ends the interpreter; a calm brings good code, and a restart."""

    node: str
    imports: str
    """One of `user_code.IMPORTS`."""

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.choice(["raise", "exit"]))

    def do(self, field: Field) -> None:
        field.nodes[self.node].imports = self.imports

    def words(self, now: int) -> str:
        how = "ends the interpreter" if self.imports == "exit" else "raises"
        return f"importing a class of users {how} on node {self.node}"


class Fork(Fault, frozen=True, array_like=True, tag="fork"):
    node: str
    chance: float

    @classmethod
    def draw(cls, field: Field) -> Self:
        return cls(field.any().name, field.rng.choice([0.1, 0.5, 1.0]))

    def do(self, field: Field) -> None:
        field.nodes[self.node].forks_fail = self.chance

    def words(self, now: int) -> str:
        return f"node {self.node} has no memory: {self.chance:.0%} of all forks fail, or their children"
