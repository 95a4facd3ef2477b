"""Reduces a failing seed to a short episode that fails for the same reason.

Leaving something out changes every later draw of chance, since chance is drawn in the order of events. So a
smaller plan that no longer fails is tried with a few other draws, too.
"""

import re
from collections.abc import Callable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from fleet.sim.faults.schedule import Plan, among
from fleet.sim.search.episode import Episode
from fleet.sim.search.explore import TURNS_MAX
from fleet.sim.world.timeline import MS, S

RUNS_MAX = 400
SALTS = 3
"""Number of other draws of chance to try."""
AFTER_US = S
"""How long an episode continues after the violation."""


class Failure(Struct, frozen=True):
    """A violation, and the episode that shows it."""

    plan: Plan
    """With its faults written out."""
    rule: str
    """Which invariant: the sentence without its facts."""
    sentence: str
    at: int
    """Microseconds of virtual time."""
    began: int
    """When the faults began; 0 if it broke before."""


def failure_of(plan: Plan) -> Failure | None:
    episode, failure = run(plan)
    episode.world.close()
    return failure


def run(plan: Plan | int, tracing: bool = False) -> tuple[Episode, Failure | None]:
    """Any error is the failure, also one of the simulator itself."""
    episode = Episode(plan, tracing)
    episode.world.turns_max = TURNS_MAX
    try:
        episode.run()
    except Exception as error:
        named = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        sentence = everywhere_the_same(re.sub(r"^seed \d+, t=[\d.]+: ", "", named))
        return episode, Failure(
            episode.as_done(), rule_of(sentence), sentence, episode.world.now, episode.injector.began
        )
    return episode, None


def everywhere_the_same(sentence: str) -> str:
    """A traceback without the folders of this machine, and without a newer Python's underlining."""
    lines = [line for line in sentence.splitlines() if line.strip(" ~^") or not line]
    return re.sub(r'File "[^"]*/((?:fleet|tests)/[^"]*)"', r'File "\1"', "\n".join(lines))


def rule_of(sentence: str) -> str:
    """The violated rule: the first line without names, numbers and bracketed text. Of a failed actor it is
    the assertion."""
    line = sentence.partition("\n")[0]
    line = re.sub(r"^an actor failed: \{.*\} stops, on \w+: ", "an actor failed: ", line)
    line = re.sub(r"\(.*\)|\[.*\]|\{.*\}|'.*'", " ", line)
    words = [word.strip(".,:;") for word in line.split()]
    return " ".join(word for word in words if word.isalpha() or "Error" in word)


def shrink(
    failure: Failure,
    runs_max: int = RUNS_MAX,
    is_late: Callable[[], bool] = lambda: False,
    tell: Callable[[int, Plan], None] = lambda runs, plan: None,
) -> Failure:
    """The smallest plan found that breaks the same rule, within the given runs and time.

    `tell(runs, plan)` is called after every run, with the smallest plan so far.
    """
    return _Shrinker(failure, runs_max, is_late, tell).least()


class _Late(Exception):
    pass


class _Shrinker:
    def __init__(
        self,
        failure: Failure,
        runs_max: int,
        is_late: Callable[[], bool],
        tell: Callable[[int, Plan], None],
    ) -> None:
        self.best = failure
        self.runs_max = runs_max
        self.is_late = is_late
        self.tell = tell
        self.runs = 0
        self.salts = 0
        self.tried: set[str] = set()

    def least(self) -> Failure:
        try:
            for self.salts in (0, SALTS):
                before = None
                while before != self.best.plan:
                    before = self.best.plan
                    self._stop_early()
                    self._without_faults()
                    self._take_first(self._earlier())
                    self._take_first(self._settings())
                    self._milder_faults()
        except _Late:
            pass
        return self.best

    def _breaks(self, plan: Plan) -> bool:
        """Whether the same rule is broken; then this is the best so far."""
        for salt in range(1 + (self.salts if self.best.began else 0)):
            salted = plan if salt == 0 else replace(plan, salt=(plan.salt + salt) % (SALTS + 1))
            key = salted.to_json()
            if key in self.tried:
                continue
            if self.runs >= self.runs_max or self.is_late():
                raise _Late
            self.tried.add(key)
            self.runs += 1
            found = failure_of(salted)
            self.tell(self.runs, self.best.plan)
            if found is not None and found.rule == self.best.rule:
                self.best = found
                return True
        return False

    def _take_first(self, plans: Iterator[Plan]) -> None:
        for plan in plans:
            if self._breaks(plan):
                return

    def _stop_early(self) -> None:
        plan = self.best.plan
        needed = max(0, self.best.at - self.best.began) + AFTER_US
        if needed < plan.duration_us:
            self._breaks(replace(plan, duration_us=needed))
        last = max((fault.at for fault in plan.faults or ()), default=0)
        self._take_first(
            replace(self.best.plan, duration_us=less)
            for less in (last + AFTER_US, last + 4 * AFTER_US)
            if less < self.best.plan.duration_us
        )

    def _without_faults(self) -> None:
        """Delta debugging: leave out ever smaller parts."""
        count = 1
        while (faults := self.best.plan.faults) and count <= len(faults):
            size = -(-len(faults) // count)
            for start in reversed(range(0, len(faults), size)):
                if self._breaks(replace(self.best.plan, faults=faults[:start] + faults[start + size :])):
                    count = max(1, count - 1)
                    break
            else:
                if size == 1:
                    return
                count = min(2 * count, len(faults))

    def _earlier(self) -> Iterator[Plan]:
        """Shorten the time before the first fault."""
        plan = self.best.plan
        faults = plan.faults or ()
        for share in (16, 4, 2):
            gone = faults[0].at - faults[0].at // share if faults else 0
            gone -= gone % MS
            if gone:
                moved = tuple(replace(fault, at=fault.at - gone) for fault in faults)
                yield replace(plan, faults=moved, duration_us=max(plan.duration_us - gone, AFTER_US))

    def _settings(self) -> Iterator[Plan]:
        plan = self.best.plan
        if plan.has_weather:
            yield replace(plan, has_weather=False)
        episode = Episode(plan)
        if len(episode.kinds) > 1:
            yield from (replace(plan, groups=(group,)) for group in episode.kinds)
        if len(episode.world.nodes) > 3:
            kept = list(episode.world.nodes)[:3]
            yield replace(plan, nodes=3, faults=tuple(among(plan.faults or (), kept)))
        fewer = range(4 if plan.clients is None else plan.clients)
        yield from (replace(plan, clients=clients) for clients in fewer)

    def _milder_faults(self) -> None:
        for place in range(len(self.best.plan.faults or ())):
            faults = self.best.plan.faults or ()
            if place < len(faults):
                self._take_first(
                    replace(self.best.plan, faults=(*faults[:place], less, *faults[place + 1 :]))
                    for less in faults[place].milder()
                )
