"""What must hold of the answers that clients got, in words that a failure prints."""

from collections import defaultdict
from collections.abc import Iterable
from math import inf
from typing import Any

from msgspec import Struct

from fleet.errors import OutcomeUnknown
from tests.recipes.party import Told

GRANTS = ("acquire", "stand")


class Tenure(Struct):
    """What is known of a token. Times are virtual seconds."""

    name: str
    token: int
    owner: str
    granted: Told
    value: Any
    last: Told
    """The last grant or renewal that is known to have been executed."""
    ttl: float
    released: Told | None = None
    left_at: float = inf
    """When its release was asked for, whatever became of that."""

    @property
    def last_revision(self) -> int:
        return self.released.revision if self.released is not None else self.last.revision

    def sure_until(self, skew: float) -> float:
        """It was held at least until then, from `granted.told_at` on."""
        return min(self.last.asked_at + self.ttl - skew, self.left_at)


def tenures(told: list[Told]) -> list[Tenure]:
    """In the order of their tokens."""
    known: dict[int, Tenure] = {}
    for one in by_revision(told):
        if one.method in GRANTS and one.value[0]:
            name, owner, ttl = one.args[:3]
            token = one.value[0]
            assert token <= one.revision, f"{one}: a token of the future"
            had = known.get(token)
            assert had is None or (had.name, had.owner) == (name, owner), f"{one}: a token of two: {had}"
            if had is None:
                value = one.args[-1] if len(one.args) > 3 else None
                known[token] = Tenure(name, token, owner, one, value, one, ttl)
            else:
                had.last, had.ttl = one, ttl
        elif one.method == "renew":
            had = known[one.args[1]]
            had.last, had.ttl = one, one.args[2]
        elif one.method == "release":
            known[one.args[1]].released = one
    for one in told:
        if one.method == "release" and one.args[1] in known:
            held = known[one.args[1]]
            held.left_at = min(held.left_at, one.asked_at)
    return [known[token] for token in sorted(known)]


def never_more_than(limit: float, told: list[Told], skew: float) -> None:
    """At no revision and at no time has a name more holders than the limit, and no owner has it twice."""
    by_name: dict[str, list[Tenure]] = defaultdict(list)
    for tenure in tenures(told):
        by_name[tenure.name].append(tenure)
    for name, held in by_name.items():
        for tenure in held:
            others = [one for one in held if one.token < tenure.token < one.last_revision]
            assert len(others) < limit, f"{name} at revision {tenure.token}: {shown(tenure, others)}"
            when = tenure.granted.told_at
            before = [one for one in held if one.token < tenure.token and one.granted.told_at <= when]
            sure = [one for one in before if when < one.sure_until(skew)]
            assert len(sure) < limit, f"{name} at {when:.3f}, granted too early: {shown(tenure, sure)}"
            assert tenure.owner not in {one.owner for one in sure}, f"taken twice: {shown(tenure, sure)}"


def shown(tenure: Tenure, others: Iterable[Tenure]) -> str:
    return "\n  ".join(["", *(f"{one.granted}; {one.last}; {one.released}" for one in (tenure, *others))])


def late_ones_are_refused(told: list[Told], skew: float) -> None:
    """A renewal or a release of what is over is refused."""
    unsure = unsure_tokens(told)
    held: dict[int, tuple[Told, float]] = {}
    for one in by_revision(told):
        if one.method in GRANTS and one.value[0]:
            held[one.value[0]] = one, one.args[2]
        elif one.method in ("renew", "release"):
            before, ttl = held[one.args[1]]
            is_late = one.asked_at > before.told_at + ttl + skew and one.args[1] not in unsure
            assert not is_late, f"{one} was not refused; it was held by {before}"
            held[one.args[1]] = one, one.args[2] if one.method == "renew" else 0.0


def unsure_tokens(told: list[Told]) -> set[int]:
    """Those with a renewal whose outcome is unknown: they may have lasted longer."""
    return {one.args[1] for one in told if one.method == "renew" and isinstance(one.error, OutcomeUnknown)}


def by_revision(told: list[Told]) -> list[Told]:
    return sorted((one for one in told if one.error is None), key=lambda one: one.revision)


def lists_are_right(told: list[Told], skew: float) -> None:
    """`live` has whoever is surely there, with its value, and nobody who is surely gone."""
    unsure, looks = unsure_tokens(told), [one for one in told if one.method == "live" and one.error is None]
    for tenure in tenures(told):
        held = [one for one in told if _renews(one, tenure)]
        for look in looks:
            if look.args[0] == tenure.name:
                _is_right(look, tenure, held, skew, is_unsure=tenure.token in unsure)


def _is_right(look: Told, tenure: Tenure, held: list[Told], skew: float, is_unsure: bool) -> None:
    earlier = [one for one in held if one.revision < look.revision]
    listed = tenure.token in look.value
    if not earlier:
        assert not listed, f"{look} has {tenure.token}, which comes later"
        return
    last = max(earlier, key=lambda one: one.revision)
    if tenure.released is not None and tenure.released.revision < look.revision:
        assert not listed, f"{look} has {tenure.token}, which was released: {tenure.released}"
    elif look.asked_at > last.told_at + tenure.ttl + skew:
        assert not listed or is_unsure, f"{look} has {tenure.token}, which is over since {last}"
    elif look.told_at < min(last.asked_at + tenure.ttl - skew, tenure.left_at):
        assert listed and look.value[tenure.token] == tenure.value, f"{look} lacks {tenure.token}: {last}"


def _renews(told: Told, tenure: Tenure) -> bool:
    if told.error is not None:
        return False
    if told.method == "renew":
        return bool(told.args[1] == tenure.token)
    return told.method in GRANTS and told.value[0] == tenure.token


def terms_only_grow(told: list[Told]) -> None:
    """For each client that looks, and in the order of real time for all of them."""
    looks = [one for one in told if one.method == "leader" and one.error is None and one.value is not None]
    values = {tenure.token: (tenure.name, tenure.value) for tenure in tenures(told)}
    for one in looks:
        term, value = one.value
        assert values.get(term, (one.args[0], value)) == (one.args[0], value), f"{one}: led by another"
        for before in looks:
            if before.args == one.args and before.told_at < one.asked_at:
                assert before.value[0] <= term, f"a term went back: {before}; {one}"


def beliefs_end_in_time(acts: list[tuple[str, int, float]], told: list[Told], skew: float) -> None:
    """`acts`: name, token and time of whatever a holder did while it took its lease for held."""
    known = tenures(told)
    for name, token, at in acts:
        for later in known:
            if later.name == name and later.token > token:
                held = later.granted.told_at + skew
                assert at <= held, f"token {token} of {name} acts at {at:.3f}, after {later.granted}"


# -- commands in the order of their revisions --------------------------------------------------------


def in_order(told: list[Told], commands: Iterable[str]) -> list[Told]:
    """Those commands by revision, which is an order of real time, too: none comes before one that was
    answered before it was asked."""
    done = [one for one in by_revision(told) if one.method in set(commands)]
    latest = None
    for one in done:
        if latest is not None:
            assert latest.asked_at <= one.told_at, f"{one} has a later revision than {latest}"
        if latest is None or one.asked_at > latest.asked_at:
            latest = one
    return done


def every_outcome_is_known(told: list[Told]) -> None:
    unknown = [one for one in told if isinstance(one.error, OutcomeUnknown)]
    assert not unknown, f"this cannot be judged, since an outcome is unknown: {unknown[0]}"


# -- barriers, rates, keys ---------------------------------------------------------------------------


def they_pass_together(parties: int, told: list[Told]) -> None:
    """As many pass at a time as the barrier is for, each once, and nobody before all of them have come."""
    came: dict[str, float] = {}
    passed: dict[int, dict[str, float]] = defaultdict(dict)
    left: dict[str, float] = {}
    for one in told:
        owner = one.args[0] if one.method == "passed_at" else one.args[1]
        if one.method == "arrive":
            came[owner] = min(one.asked_at, came.get(owner, one.asked_at))
        if one.error is None and one.value:
            before = passed[one.value].setdefault(owner, one.told_at)
            passed[one.value][owner] = min(before, one.told_at)
        elif one.method == "leave" and one.error is None:
            left[owner] = one.told_at
    for revision, owners in passed.items():
        assert len(owners) <= parties, f"{len(owners)} passed at {revision}"
        first = min(owners.values())
        elsewhere = {owner for at, others in passed.items() if at != revision for owner in others}
        assert not elsewhere & owners.keys(), f"one passed twice: {elsewhere & owners.keys()}"
        there = [o for o, at in came.items() if at <= first and o not in elsewhere and o not in left]
        assert len(there) >= parties, f"at {first:.3f} only {there} had come, and passed at {revision}"


def no_more_than_the_rate(rate: float, burst: int, told: list[Told], skew: float) -> None:
    """In no span of time, between any two takes."""
    taken = sorted((one for one in told if one.error is None and one.value == 0.0), key=lambda o: o.revision)
    for start, first in enumerate(taken):
        count, until = 0, first.told_at
        for one in taken[start:]:
            count += one.args[3]
            until = max(until, one.told_at)
            most = burst + rate * (until - first.asked_at + skew)
            assert count <= most, f"{count} of at most {most:.2f} were let through from {first} to {one}"


def keys_are_linearizable(told: list[Told], ttl: float, skew: float) -> None:
    """Executed one by one in the order of their revisions, the commands answer what they answered; queries
    answer the state of the revision that they have, which is one of their own time. A key that has a time to
    live may also be gone, but not too early, and not too late."""
    every_outcome_is_known(told)
    commands = in_order(told, ("put", "compare_and_set", "delete", "entry_now"))
    queries = [one for one in by_revision(told) if one.method == "entry"]
    store = _Store(ttl, skew)
    waiting = list(commands)
    for query in queries:
        while waiting and waiting[0].revision <= query.revision:
            store.execute(waiting.pop(0))
        early = [one for one in waiting if one.told_at < query.asked_at]
        assert not early, f"{query} does not see {early[0]}"
        store.look(query, may_be_over=True)
    for one in waiting:
        store.execute(one)
    _no_query_sees_the_future(commands, queries)


def _no_query_sees_the_future(commands: list[Told], queries: list[Told]) -> None:
    for query in queries:
        future = [one for one in commands if one.asked_at > query.told_at and one.revision <= query.revision]
        assert not future, f"{query} sees {future[0]}"


class _Store:
    """What is known of the keys at a revision."""

    def __init__(self, ttl: float, skew: float) -> None:
        self.ttl, self.skew = ttl, skew
        self.keys: dict[str, tuple[Any, int, Told]] = {}
        """Value, revision and the command that put it."""

    def execute(self, told: Told) -> None:
        key, value = told.args[0], told.value
        if told.method == "put":
            assert value == told.revision, f"{told}: another revision"
            self.keys[key] = (told.args[1], told.revision, told)
        elif told.method == "entry_now":
            self.look(told)
        elif told.method == "compare_and_set":
            had = self._had(told, is_there=bool(told.args[1]) if value is not None else None)
            if value is None:
                assert had != told.args[1] or had and self._may_be_over(key, told), f"{told}: it was {had}"
            else:
                assert had == told.args[1] and value == told.revision, f"{told}: it was {had}"
                self.keys[key] = (told.args[2], told.revision, told)
        else:
            had = self._had(told, is_there=value or None)
            wanted = told.args[1] if len(told.args) > 1 and told.args[1] is not None else had
            if value:
                assert had and wanted == had, f"{told}: it was {had}"
                del self.keys[key]
            else:
                assert not had or wanted != had or self._may_be_over(key, told), f"{told}: it was {had}"

    def look(self, told: Told, may_be_over: bool = False) -> None:
        key, (value, revision, is_timed) = told.args[0], told.value
        if not revision:
            if key in self.keys:
                assert self._may_be_over(key, told), f"{told}: gone, but {self.keys[key][2]}"
                if not may_be_over:
                    del self.keys[key]
            return
        assert key in self.keys and self.keys[key][:2] == (value, revision), f"{told}: {self.keys.get(key)}"
        assert is_timed == (key[0] == "t")
        assert may_be_over or not self._must_be_over(key, told), f"{told}: over since {self.keys[key][2]}"

    def _had(self, told: Told, is_there: bool | None) -> int:
        """Its revision; `is_there`: whether it must have been, None: nothing is known."""
        key = told.args[0]
        if key not in self.keys:
            return 0
        if self._must_be_over(key, told) or (is_there is False and self._may_be_over(key, told)):
            del self.keys[key]
            return 0
        return self.keys[key][1]

    def _may_be_over(self, key: str, told: Told) -> bool:
        return key[0] == "t" and told.told_at >= self.keys[key][2].asked_at + self.ttl - self.skew

    def _must_be_over(self, key: str, told: Told) -> bool:
        return key[0] == "t" and told.asked_at > self.keys[key][2].told_at + self.ttl + self.skew
