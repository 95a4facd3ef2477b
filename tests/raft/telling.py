"""What members, messages and entries are in words: the answers in `scenarios/*.txt`."""

from collections.abc import Iterator
from typing import Any

import msgspec

from fleet.raft.core import Core
from fleet.raft.entries import Commands, Entry, SnapshotMeta
from fleet.raft.ids import MemberId, node_of
from fleet.raft.messages import Message
from fleet.raft.state import Candidate

UNTOLD = ("term", "src", "dst", "sent_at", "life", "wall_ms", "data", "stamp")
REFUSALS = ("ok", "granted", "installed")
"""Fields that are told also where they are False."""
NEW = {"role": "follower", "term": "0", "vote": "none", "leader": "none"}
NEW |= {"log": "empty", "commit": "0", "voters": "none", "learners": "none"}
"""What a member is before it knows anything: not worth a word."""


def state_of(core: Core) -> dict[str, str]:
    role = type(core.role).__name__.lower()
    if isinstance(core.role, Candidate) and core.role.pre:
        role = "pre-candidate"
    members = core.membership.current
    first = [f"..{core.log.base_index}"] if core.log.base_index else []
    return {
        "role": role,
        "term": str(core.term),
        "vote": node_of(core.vote) if core.vote else "none",
        "leader": node_of(core.leader) if core.leader else "none",
        "log": ",".join(first + [str(entry.term) for entry in core.log.entries]) or "empty",
        "commit": str(core.log.commit),
        "voters": told(members.voters),
        "learners": told(members.learners),
    }


def told(what: Any) -> str:
    match what:
        case str():
            return node_of(MemberId(what)) or what
        case []:
            return "none"
        case [Entry(), *_]:
            return f"[{', '.join(map(told, what))}]"
        case tuple():
            return ",".join(map(told, what))
        case Entry():
            return f"{what.index}@{what.term} {told(what.body)}"
        case SnapshotMeta():
            return f"{what.index}@{what.term}"
        case Commands():
            return "+".join(payload.decode() for payload in what.payloads)
        case Message():
            return " ".join(
                [f"{node_of(what.src)} -> {node_of(what.dst)}", type(what).__name__, *fields_of(what)]
            )
        case msgspec.Struct():
            member = getattr(what, "member", None)
            return type(what).__name__ + (f" {node_of(member)}" if member else "")
    return str(what)


def fields_of(message: Message) -> Iterator[str]:
    yield f"term={message.term}"
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if name not in UNTOLD and (value or name in REFUSALS):
            yield f"{name}={told(value)}"
