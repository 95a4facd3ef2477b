"""An episode as one HTML file: a space-time diagram that needs nothing but a browser."""

import html
import json
from functools import cache
from pathlib import Path
from typing import Any

from fleet.sim.faults.fault import moment
from fleet.sim.report.explain import Told, text
from fleet.sim.world.trace import APPEND, CALL, HEARTBEAT, MESSAGES, Event

KINDS = (*MESSAGES, "role", "commit", "apply", "disk", CALL, "fault", "life", "log")
SCRIPTS = ("diagram_data.js", "diagram_draw.js", "diagram_controls.js")
"""One script in the page, with nothing global but `diagram`."""


def page(told: Told) -> str:
    """The same told is the same bytes."""
    values = {
        "TITLE": html.escape(f"fleet sim, seed {told.seed}"),
        "SETTINGS": html.escape("; ".join(told.settings)),
        "SENTENCE": html.escape(told.sentence.partition("\n")[0]),
        "TEXT": html.escape("\n".join(text(told))),
        "DATA": json.dumps(data(told), separators=(",", ":")).replace("<", "\\u003c"),
        "SCRIPT": "\n".join(map(_part, SCRIPTS)),
    }
    filled = _part("diagram.html")
    for name, value in values.items():
        filled = filled.replace(f"@{name}@", value)
    return filled


@cache
def _part(name: str) -> str:
    return (Path(__file__).parent / name).read_text()


def data(told: Told) -> dict[str, Any]:
    """What the page's script reads: columns, with moments as differences, and each string once."""
    lanes = ["", *told.nodes, *told.clients]
    lane_of = {name: number for number, name in enumerate(lanes)}
    groups = ["", *told.groups]
    group_of = {name: number for number, name in enumerate(groups)}
    kind_of = {name: number for number, name in enumerate(KINDS)}
    strings: dict[str, int] = {}
    events = told.events
    moments = [event.at for event in events]
    return {
        "seed": told.seed,
        "broken": bool(told.sentence),
        "focus": told.group or _busiest(events),
        "began": told.began,
        "ended": told.ended,
        "faults": [(told.began + fault.at, fault.words(told.began)) for fault in told.faults],
        "marks": [(at, f"{moment(at)} {name}") for name, at in told.marks],
        "lanes": lanes,
        "nodes": len(told.nodes),
        "groups": groups,
        "kinds": KINDS,
        "messages": MESSAGES,
        "at": [after - before for before, after in zip([0, *moments], moments)],
        "lasts": [-1 if event.until is None else event.until - event.at for event in events],
        "kind": [kind_of[event.kind] for event in events],
        "lane": [lane_of.get(event.node, 0) for event in events],
        "to": [lane_of.get(event.to, 0) for event in events],
        "term": [event.term for event in events],
        "index": [event.index for event in events],
        "group": [group_of[event.group] for event in events],
        "say": [strings.setdefault(event.say, len(strings)) for event in events],
        "bands": [(lane_of[one.node], one.sort, one.at, one.until, one.say) for one in told.bands],
        "strings": list(strings),
    }


def _busiest(events: list[Event]) -> str:
    """The group to begin with where none is concerned."""
    counts: dict[str, int] = {}
    for event in events:
        if event.kind in (APPEND, HEARTBEAT) and event.group:
            counts[event.group] = counts.get(event.group, 0) + 1
    return max(counts, key=lambda group: counts[group], default="")
