"""A failing seed is told in words, and as a page that needs nothing but a browser."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from hashlib import blake2b
from html.parser import HTMLParser
from itertools import accumulate
from typing import Any

from fleet.sim.faults.network import Split
from fleet.sim.faults.processes import Power
from fleet.sim.faults.schedule import Occurrence, Plan
from fleet.sim.report.diagram import page
from fleet.sim.report.explain import Told, event_in_words, group_of, merged, tell, text
from fleet.sim.search.shrink import Failure, everywhere_the_same, run
from fleet.sim.world.timeline import S
from fleet.sim.world.trace import CALL, COMMIT, FAULT, LIFE, MESSAGES, ROLE, VOTE, Event
from tests.sim.mutants import named, planted

PAGE = """
from hashlib import blake2b
from fleet.sim.report.diagram import page
from fleet.sim.report.explain import tell
from fleet.sim.search.shrink import run
print(blake2b(page(tell(*run(7, tracing=True))).encode()).hexdigest())
"""


@cache
def two_leaders() -> tuple[Told, Failure]:
    """The first such seed under a majority that is too small by one, with more marks than the words name."""
    with planted(named("majority off by one")):
        for seed in range(1, 60):
            episode, failure = run(seed, tracing=True)
            if failure is not None and failure.rule == "and lead in term" and failure.sentence[0] == "g":
                told = tell(episode, failure)
                if len(told.marks) > 12:
                    return told, failure
    raise AssertionError("not found")


@cache
def peace() -> Told:
    episode, failure = run(7, tracing=True)
    assert failure is None
    return tell(episode, None)


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[str] = []
        self.inside = ""
        self.data = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [name for name, _ in attrs]
        self.inside = "data" if ("id", "data") in attrs else tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "data":
            self.data += data


def data_of(told: Told) -> dict[str, Any]:
    found = json.loads(Reader(page(told)).data)
    assert isinstance(found, dict)
    return found


def test_the_words_say_what_broke_what_happened_and_who_led() -> None:
    told, failure = two_leaders()
    said = "\n".join(text(told))
    assert told.group == failure.sentence[:2]
    assert said.startswith(f"seed {failure.plan.seed}: {failure.sentence}\n")
    assert f"{len(told.nodes)} nodes, {len(told.clients) - 1} clients, groups g0" in said
    assert told.faults and all(fault.words(told.began) in said for fault in told.faults)
    assert re.search(rf"Leaders of {told.group}: n\d in term \d, ", said)
    assert re.search(r"n\d is leader in term \d: its log ends at", said)
    assert re.search(rf"{told.group}: n\d leads in term \d, its log ends at \d+", said)


def test_the_page_and_the_words_name_the_rare_states_on_the_way() -> None:
    told, _ = two_leaders()
    assert told.marks == sorted(told.marks, key=lambda mark: mark[1])
    said = "\n".join(text(told))
    assert all(name in said for name, _ in told.marks[-12:])
    assert not any(name in said for name, _ in told.marks[:-12])
    assert [words.partition(" s ")[2] for _, words in data_of(told)["marks"]] == [
        name for name, _ in told.marks
    ]


def test_the_page_is_of_one_piece() -> None:
    """Nothing is fetched: it opens on a machine without a network."""
    whole = page(two_leaders()[0])
    assert not {"src", "href", "srcset", "action"} & set(Reader(whole).attributes)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttp|WebSocket|import\(", whole)
    assert not re.search(r"@[A-Z]+@", whole)


def test_the_page_holds_every_event() -> None:
    told = peace()
    data = data_of(told)
    columns = ("at", "lasts", "kind", "lane", "to", "term", "index", "group", "say")
    assert {len(data[name]) for name in columns} == {len(told.events)}
    assert {event.kind for event in told.events} >= {VOTE, ROLE, COMMIT, FAULT, LIFE, CALL}
    moments = list(accumulate(data["at"]))
    for place, event in enumerate(told.events):
        assert moments[place] == event.at
        assert data["kinds"][data["kind"][place]] == event.kind
        assert data["strings"][data["say"][place]] == event.say
        assert data["groups"][data["group"][place]] == event.group
        assert data["lanes"][data["lane"][place]] == event.node
        assert data["lasts"][place] == (-1 if event.until is None else event.until - event.at)


def test_every_message_has_its_way_and_those_of_members_their_group() -> None:
    messages = [event for event in peace().events if event.kind in MESSAGES]
    assert all(event.until is None or event.until > event.at for event in messages)
    assert all(event.node and event.to and event.node != event.to for event in messages)
    assert all(event.group and event.term for event in messages if event.kind == VOTE)


def test_where_nothing_befalls_the_fleet_every_message_is_told_to_arrive() -> None:
    episode, failure = run(Plan(1, duration_us=S, nodes=3, has_weather=False), tracing=True)
    assert failure is None
    told = tell(episode, None)
    sent = [event for event in told.events if event.kind in MESSAGES]
    served = [event for event in sent if told.began <= event.at < told.ended - S]
    assert len(served) > 100 and [event for event in served if event.until is None] == []


def test_looking_changes_nothing() -> None:
    seen, unseen = run(7, tracing=True)[0].world, run(7)[0].world
    assert unseen.events is None and seen.lines
    assert (seen.now, seen.turns, seen.network.bytes) == (unseen.now, unseen.turns, unseen.network.bytes)
    assert seen.rng.random() == unseen.rng.random()


def test_a_seed_is_one_page_byte_for_byte() -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    other = subprocess.run(
        [sys.executable, "-c", PAGE], env=environment, capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == blake2b(page(peace()).encode()).hexdigest()


def test_nodes_that_are_not_well_have_bands() -> None:
    faults = (Occurrence(100_000, Power("n2", 300_000)), Occurrence(500_000, Split(("n1", "c1"))))
    episode, failure = run(Plan(1, duration_us=S, nodes=3, faults=faults, has_weather=False), tracing=True)
    assert failure is None
    told = tell(episode, None)
    bands = {(band.node, band.sort): (band.at - told.began, band.until - told.began) for band in told.bands}
    assert bands == {
        ("n2", "down"): (100_000, 400_000),
        ("n1", "network"): (500_000, S),
        ("c1", "network"): (500_000, S),
    }


def test_what_a_user_wrote_stays_data() -> None:
    told, _ = two_leaders()
    told.events.append(Event(told.ended, "log", say="</script><b>&"))
    try:
        assert data_of(told)["strings"][-1] == "</script><b>&"
    finally:
        told.events.pop()


def test_commits_one_after_the_other_are_told_once() -> None:
    commits = [Event(at, COMMIT, "n1", "g0", 2, at) for at in range(1, 5)]
    other = Event(3, COMMIT, "n2", "g0", 2, 9)
    vote = Event(6, VOTE, "n1", "g0", 3, 0, "vote for me!", "n2")
    assert merged([*commits, other, vote, commits[0]]) == [commits[3], other, vote, commits[0]]
    assert event_in_words(vote) == "   0.000 s  g0: n1 to n2 in term 3: vote for me! (has not arrived)"


def test_the_group_concerned_is_the_first_that_is_named() -> None:
    assert group_of("members of g1 differ, not those of g0", ["g0", "g1"]) == "g1"
    assert group_of("g10 has no leader", ["g1"]) == ""


def test_a_traceback_names_no_folder_of_this_machine() -> None:
    place = 'File "/home/me/fleet/fleet/raft/log.py", line 3, in f'
    raised = f"x\n  {place}\n    a + b\n    ~~^~~\nAssertionError"
    assert everywhere_the_same(raised) == (
        'x\n  File "fleet/raft/log.py", line 3, in f\n    a + b\nAssertionError'
    )
