"""One word for one thing: a class name that stands twice means the same in both places."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("fleet", "actors", "storage")
SAME = {
    "Round": "about once a second",
    "Transfer": "of a leadership",
    "Persisted": "a write is durable",
    "PersistRequest": "a write that a decider asks for",
    "Ready": "what a decider asks for",
    "Tick": "a decider's deadline may have passed",
    "Removed": "of a member from its group",
    "Refused": "by another node",
    "Applied": "of the cluster group's log, as a message and as an event",
    "Belongs": "of a disk to a cluster, as a message and as an event",
    "AskStatus": "of a group, for two deciders",
    "StatusReceived": "of a group, by two deciders",
    "OperatorRequests": "at a member and at a node",
    "Call": "of a group's method, by a handle and as a message",
    "Fleet": "for threads and for asyncio",
    "Node": "what users start, and what its parts know of it",
}
"""What each means, wherever it stands. A node's parts know each other by protocols of the same names."""


def test_no_class_name_has_two_meanings() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            name = str(path.relative_to(ROOT))
            if name == "actors/node/parts.py" or any(parent.is_symlink() for parent in path.parents):
                continue
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(name)
    twice = {name: found for name, found in places.items() if len(found) > 1 and name[0] != "_"}
    assert {name: found for name, found in twice.items() if name not in SAME} == {}
    assert SAME.keys() - twice.keys() <= {"Node"}
