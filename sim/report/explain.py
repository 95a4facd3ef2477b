"""An episode told to people: what broke, what happened to the fleet, and what the group did last."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from fleet.cluster.state import CLUSTER_GROUP
from fleet.raft.ids import MemberId, Term, node_of
from fleet.sim.faults.fault import moment
from fleet.sim.faults.schedule import Occurrence
from fleet.sim.search.episode import Episode
from fleet.sim.search.shrink import Failure
from fleet.sim.world.trace import CALL, COMMIT, FAULT, LIFE, ROLE, VOTE, Event

LAST_MAX = 40
"""So many of the last relevant events are told."""
MARKS_SHOWN = 12
RELEVANT = {ROLE, COMMIT, VOTE, FAULT, LIFE}
STILL, DOWN = "still", "down"
"""Sorts of bands, beside those of faults."""
BEGINS = {"is killed": DOWN, "loses power": DOWN, "stops": DOWN, "stands still": STILL}
ENDS = {"starts": DOWN, "goes on": STILL}


class Band(Struct, frozen=True):
    """A fault of a node that lasts."""

    node: str
    sort: str
    at: int
    until: int
    say: str


class Told(Struct, frozen=True):
    """An episode that was traced, and what there is to say about it."""

    seed: int
    sentence: str
    """"" when nothing broke."""
    group: str
    """The one concerned; "" when there is none in particular."""
    began: int
    ended: int
    settings: list[str]
    faults: tuple[Occurrence, ...]
    nodes: list[str]
    clients: list[str]
    groups: list[str]
    leaders: dict[Term, MemberId]
    members: list[str]
    """How the members of the group stood in the end, a line each."""
    events: list[Event]
    bands: list[Band]
    marks: list[tuple[str, int]]
    """Rare states, each with the moment when it was reached first, in the order of time."""


def tell(episode: Episode, failure: Failure | None) -> Told:
    """`episode` ran with `tracing`, to its end or to its failure."""
    world, injector = episode.world, episode.injector
    assert world.events is not None, "the episode was not traced"
    groups = [*episode.kinds, CLUSTER_GROUP]
    group = group_of(failure.sentence, groups) if failure is not None else ""
    events = [*world.events.finished(), *calls(episode)]
    events.sort(key=lambda event: event.at)
    others = sorted({event.group for event in events if event.group} - set(groups))
    pasts = [past for past in world.invariants.groups.values() if past.name == group]
    return Told(
        seed=world.seed,
        sentence=failure.sentence if failure is not None else "",
        group=group,
        began=injector.began,
        ended=world.now,
        settings=[*shape(episode), *episode.plan.settings_in_words()],
        faults=tuple(injector.done),
        nodes=list(world.nodes),
        clients=list(world.clients),
        groups=[*groups, *others],
        leaders=pasts[-1].leaders if pasts else {},
        members=[standing(member) for member in world.members_of(group)] if group else [],
        events=events,
        bands=list(bands(injector.done, injector.began, events, world.now)),
        marks=sorted(world.marks.first_at.items(), key=lambda mark: mark[1]),
    )


def group_of(sentence: str, groups: Iterable[str]) -> str:
    """The first that is named."""
    places = [(match.start(), name) for name in groups if (match := re.search(rf"\b{name}\b", sentence))]
    return min(places)[1] if places else ""


def shape(episode: Episode) -> list[str]:
    nodes, clients = len(episode.world.nodes), len(episode.loads)
    kept = dict.fromkeys(episode.in_memory, ", in memory only")
    held = ", ".join(f"{group} ({kind}{kept.get(group, '')})" for group, kind in episode.kinds.items())
    return [f"{nodes} nodes, {clients} client{'s' * (clients != 1)}, groups {held}"]


def standing(member: Any) -> str:
    core = member.core
    log = core.log
    role = type(core.role).__name__.lower()
    return (
        f"{node_of(core.id)} is {role} in term {core.term}: "
        f"its log ends at {log.last_index}:{log.last_term}, durable up to {log.durable}, "
        f"committed up to {log.commit}"
    )


def calls(episode: Episode) -> Iterator[Event]:
    """What the clients asked and were told."""
    for group, _, history in episode.groups.all():
        for asked in history.operations():
            told = repr(asked.output) if asked.is_known else "never known"
            until = None if asked.return_at is None else asked.return_at // 1000
            say = f"{asked.input}: {told if len(told) < 80 else told[:80] + '...'}"
            yield Event(asked.call_at // 1000, CALL, str(asked.process), group, say=say, until=until)


def bands(faults: Iterable[Occurrence], began: int, events: Iterable[Event], ended: int) -> Iterator[Band]:
    """What lasts: faults until the calm, and nodes that are down or stand still."""
    faults = list(faults)
    calms = [began + one.at for one in faults if one.fault.what == "calm"]
    calms += [event.at for event in events if event.kind == FAULT and event.say == "all faults end"]
    for one in faults:
        at, fault = began + one.at, one.fault
        until = min((calm for calm in calms if calm >= at), default=ended)
        if fault.band:
            until = min(until, fault.lasts_until(at) or until)
            names = getattr(fault, "names", fault.node_names)
            yield from (Band(name, fault.band, at, until, fault.words(at)) for name in names)
    since: dict[tuple[str, str], Event] = {}
    for event in events:
        if event.kind == LIFE and event.say in BEGINS:
            since.setdefault((event.node, BEGINS[event.say]), event)
        elif event.kind == LIFE and (event.node, ENDS.get(event.say, "")) in since:
            first = since.pop((event.node, ENDS[event.say]))
            yield Band(event.node, ENDS[event.say], first.at, event.at, first.say)
    for (node, sort), first in since.items():
        yield Band(node, sort, first.at, ended, first.say)


# -- as text -----------------------------------------------------------------------------------------


def text(told: Told) -> list[str]:
    """For a terminal."""
    lines = [f"seed {told.seed}: {told.sentence or 'nothing broke'}"]
    lines += ["", "The episode:", *(f"  {line}" for line in told.settings)]
    lines += [f"  {fault.words(told.began)}" for fault in told.faults] or ["  nothing happened to the fleet"]
    if told.sentence:
        lines.append(f"  at {moment(told.ended)} it is broken")
    if told.leaders:
        leaders = (f"{node_of(member)} in term {term}" for term, member in sorted(told.leaders.items()))
        lines += ["", f"Leaders of {told.group}: {', '.join(leaders)}"]
    if told.members:
        lines += ["", f"Members of {told.group} in the end:", *(f"  {line}" for line in told.members)]
    if told.sentence and told.marks:
        lines += ["", "Rare states on the way, the latest last:"]
        lines += [f"  {moment(at):>10}  {name}" for name, at in told.marks[-MARKS_SHOWN:]]
    if told.sentence:
        lines += ["", f"What {told.group or 'the fleet'} did last:"]
        lines += [f"  {line}" for line in last_events(told)]
    return lines


def last_events(told: Told) -> list[str]:
    relevant = [
        event
        for event in told.events
        if event.kind in RELEVANT and (not event.group or not told.group or event.group == told.group)
    ]
    return [event_in_words(event) for event in merged(relevant)[-LAST_MAX:]]


def merged(events: Iterable[Event]) -> list[Event]:
    """Commits of one member in one term, one after the other, as one."""
    lately: dict[tuple[str, str], int] = {}
    kept: list[Event | None] = []
    for event in events:
        who = (event.node, event.group)
        if event.kind != COMMIT:
            lately.clear()
        else:
            before = kept[lately[who]] if who in lately else None
            if before is not None and before.term == event.term:
                kept[lately[who]] = None
            lately[who] = len(kept)
        kept.append(event)
    return [event for event in kept if event is not None]


def event_in_words(event: Event) -> str:
    group = f"{event.group}: " if event.group else ""
    node = f"{event.node} " if event.node and event.kind != FAULT else ""
    return f"{moment(event.at):>10}  {group}{node}{_fault_of(event)}"


def _fault_of(event: Event) -> str:
    term = f" in term {event.term}" if event.term else ""
    match event.kind:
        case "role":
            return f"{event.say}{term}, its log ends at {event.index}"
        case "commit":
            return f"commits up to {event.index}{term}"
        case "apply":
            return f"applies up to {event.index}"
        case "disk":
            return f"has on disk: {event.say}"
        case "fault" | "life" | "log" | "call":
            return event.say
    arrives = f"arrives at {moment(event.until)}" if event.until is not None else "has not arrived"
    return f"to {event.to}{term}: {event.say} ({arrives})"
