"""Clients of a simulated fleet that carry out the plans of `fleet.recipes`, on virtual time.

What they do is what threads and asyncio tasks do; only the clock and the waiting are the simulation's. Every
call is kept with its answer, its revision, and when it was made and answered: what the judges look at.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from msgspec import Struct

from fleet.errors import FleetError, OutcomeUnknown
from fleet.objects.replies import Reply
from fleet.recipes.plans import Ask, Pause, Plan
from fleet.testing import Sim

STEP_S = 0.02
CALL_S = 60.0
"""Calls wait as long as faults last, so that no outcome is unknown."""


class Told(Struct, frozen=True):
    """A call and its answer. Times are virtual seconds."""

    client: str
    method: str
    args: tuple[Any, ...]
    asked_at: float
    told_at: float
    revision: int
    value: Any
    error: FleetError | None

    def __str__(self) -> str:
        answer = repr(self.value) if self.error is None else f"{type(self.error).__name__} {self.error.what}"
        when = f"[{self.asked_at:.3f}, {self.told_at:.3f}]"
        return f"{self.client} {self.method}{self.args} -> {answer} at {self.revision} {when}"


class Doing:
    """A plan under way."""

    def __init__(self, party: "Party", client: str, plan: Plan[Any], ended: Callable[[Any], None]) -> None:
        self.party, self.client, self.plan, self.ended = party, client, plan, ended
        self.resume: Callable[[], Ask | Pause] | None = plan.__next__
        self.wakes_at = 0.0
        self.reply: Reply[Any] | None = None
        self.asked: tuple[str, tuple[Any, ...], float] = ("", (), 0.0)

    @property
    def is_ready(self) -> bool:
        waits = self.reply is not None and not self.reply.done()
        return not waits and self.party.sim.now >= self.wakes_at

    def go_on(self) -> None:
        sim, reply = self.party.sim, self.reply
        if reply is not None:
            self.resume, self.reply = self._answered(reply), None
        assert self.resume is not None
        try:
            step = self.resume()
        except StopIteration as end:
            self.stop()
            self.ended(end.value)
            return
        if isinstance(step, Pause):
            self.wakes_at, self.resume = sim.now + step.seconds, self.plan.__next__
        else:
            self.asked = (step.call._name, step.args, sim.now)
            call = step.call.options(timeout=step.timeout or CALL_S)
            future: Future[Any] = call.submit(*step.args)
            assert isinstance(future, Reply)
            self.reply = future

    def _answered(self, reply: Reply[Any]) -> Callable[[], Ask | Pause]:
        method, args, asked_at = self.asked
        error = reply.exception(0)
        assert error is None or isinstance(error, FleetError), error
        value = reply.result(0) if error is None else None
        told = Told(self.client, method, args, asked_at, self.party.sim.now, reply.revision, value, error)
        self.party.told.append(told)
        if error is not None:
            return lambda: self.plan.throw(error)
        return lambda: self.plan.send(value)

    def freeze(self, seconds: float) -> None:
        """Its process stands still; answers wait."""
        self.wakes_at = max(self.wakes_at, self.party.sim.now + seconds)

    def stop(self) -> None:
        """Its process dies; what it asked may still be executed, and nobody is told."""
        if self in self.party.doing:
            self.party.doing.remove(self)
        if self.reply is not None:
            method, args, asked_at = self.asked
            unknown, now = OutcomeUnknown("who asked is gone"), self.party.sim.now
            self.party.told.append(Told(self.client, method, args, asked_at, now, 0, None, unknown))


class Party:
    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.doing: list[Doing] = []
        self.told: list[Told] = []
        """In the order of the answers."""

    def begin(self, client: str, plan: Plan[Any], ended: Callable[[Any], None] = lambda value: None) -> Doing:
        self.doing.append(Doing(self, client, plan, ended))
        return self.doing[-1]

    def clock(self) -> float:
        return self.sim.now

    def _has_ready(self) -> bool:
        return any(one.is_ready for one in self.doing)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Whether `until` came true."""
        end = self.sim.now + seconds
        while not until():
            while ready := [one for one in self.doing if one.is_ready]:
                for one in ready:
                    if one in self.doing:
                        one.go_on()
            if self.sim.now >= end or until():
                return until()
            wakes = [one.wakes_at for one in self.doing if one.wakes_at > self.sim.now]
            rest = min([*wakes, end]) - self.sim.now
            self.sim.run(max(rest, 0.001), self._has_ready, STEP_S)
        return True
