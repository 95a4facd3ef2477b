"""The events of a simulated world, to be shown, and to compare runs byte for byte."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from fleet.actors.base.wire import LENGTH, decode_body, decode_frame
from fleet.actors.messages.client import ClientReply, ClientRequest, KeepWatch, WatchGroup, WatchReply
from fleet.actors.messages.operator import GroupRequest
from fleet.actors.messages.peer import PeerMail, PeerMails
from fleet.interfaces import Write
from fleet.objects.applier import Outcomes
from fleet.raft.codec import decode_messages
from fleet.raft.ids import MemberId, node_of
from fleet.raft.messages import (
    AppendEntries,
    AppendReply,
    InstallSnapshot,
    Message,
    PreVote,
    PreVoteReply,
    SnapshotReply,
    VoteReply,
    VoteRequest,
)

FAULT, LIFE, ROLE, COMMIT, APPLY, DISK = "fault", "life", "role", "commit", "apply", "disk"
APPEND, HEARTBEAT, VOTE, SNAPSHOT, CLIENT, NODE = "append", "heartbeat", "vote", "snapshot", "client", "node"
MESSAGES = (APPEND, HEARTBEAT, VOTE, SNAPSHOT, CLIENT, NODE)
"""Kinds of events that go from `node` to `to`."""
CALL = "call"


class Event(Struct):
    """`at` and `until` are in microseconds. A message leaves at `at` and arrives at `until`; other events
    last until then. None: not before the episode ended.
    """

    at: int
    kind: str
    node: str = ""
    group: str = ""
    term: int = 0
    index: int = 0
    say: str = ""
    to: str = ""
    until: int | None = None


class Trace:
    """Of one world."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.groups: dict[MemberId, str] = {}
        """Each member's group: their messages do not name it."""
        self._for_member: list[tuple[Event, MemberId]] = []
        self._sent: dict[int, tuple[bytes, list[Event]]] = {}
        """By the id of the bytes, which are kept so that no other object gets it."""

    def finished(self) -> list[Event]:
        """All events in order, each message with its group."""
        for event, member in self._for_member:
            event.group = self.groups.get(member, "")
        self._for_member.clear()
        return self.events

    # -- messages ----------------------------------------------------------------------------------

    def sent(self, at: int, src: str, dst: str, frames: bytes) -> None:
        events = []
        for mail in mails_in(frames):
            if isinstance(mail, PeerMail):
                for message in decode_messages(mail.body):
                    kind, say = about_peer(message)
                    event = Event(at, kind, src, "", message.term, 0, say, dst)
                    self._for_member.append((event, message.dst))
                    events.append(event)
            else:
                kind, group, say = about_mail(mail)
                events.append(Event(at, kind, src, group, 0, 0, say, dst))
        self._sent[id(frames)] = frames, events
        self.events.extend(events)

    def arrived(self, at: int, frames: bytes) -> None:
        """Of frames that arrive twice the first time counts."""
        for event in self._sent.get(id(frames), (frames, []))[1]:
            if event.until is None:
                event.until = at

    # -- members -----------------------------------------------------------------------------------

    def changed(self, at: int, member: Any, last: Any) -> None:
        """`last`: how the invariants saw it before."""
        core, group = member.core, member.spec.name
        node, add = node_of(core.id), self.events.append
        self.groups[core.id] = group
        if core.term != last.term or core.role is not last.role:
            role = "leads" if core.is_leader else f"is {type(core.role).__name__.lower()}"
            add(Event(at, ROLE, node, group, core.term, core.log.last_index, role))
        if core.log.commit > last.commit:
            add(Event(at, COMMIT, node, group, core.term, core.log.commit, _after(last.commit)))
        if member.object.index > last.applied:
            add(Event(at, APPLY, node, group, core.term, member.object.index, _after(last.applied)))

    def written(self, at: int, node: str, homes: Mapping[int, Any], writes: Iterable[Write]) -> None:
        """`homes`: the members' hosted_members by number in the store."""
        for write in writes:
            home = homes.get(write.group)
            if home is None:
                continue  # a member that came and went within one turn
            self.groups[home.member] = home.spec.name
            term = write.hard.term if write.hard is not None else 0
            index = write.entries[-1].index if write.entries else 0
            self.events.append(
                Event(at, DISK, node, home.spec.name, term, index, " and ".join(about_write(write)))
            )


def _after(index: int) -> str:
    return f"after {index}"


# -- reading what goes over the links ----------------------------------------------------------------


def mails_in(frames: bytes) -> Iterator[Any]:
    view = memoryview(frames)
    start = 0
    while start < len(frames):
        (size,) = LENGTH.unpack_from(frames, start)
        start += LENGTH.size
        for _, _, tag, body in decode_frame(view[start : start + size]):
            message = decode_body(tag, body)
            if isinstance(message, PeerMails):
                yield from message.mails
            else:
                yield message
        start += size


def about_peer(m: Message) -> tuple[str, str]:
    """Its kind, and what it says."""
    match m:
        case AppendEntries(entries=()):
            return HEARTBEAT, f"heartbeat after {m.prev_index}:{m.prev_term}, commit {m.commit}"
        case AppendEntries():
            first, last = m.entries[0].index, m.entries[-1].index
            what = f"entry {first}" if first == last else f"entries {first}-{last}"
            return APPEND, f"append {what} after {m.prev_index}:{m.prev_term}, commit {m.commit}"
        case AppendReply(ok=True):
            return APPEND, f"has all up to {m.index}"
        case AppendReply():
            return APPEND, f"refuses what follows {m.index}, may match up to {m.hint}:{m.hint_term}"
        case PreVote() | VoteRequest():
            asks = "would you vote for me?" if isinstance(m, PreVote) else "vote for me!"
            hurry = " (the leader asked me)" if isinstance(m, VoteRequest) and m.transfer else ""
            return VOTE, f"{asks} My log ends at {m.last_index}:{m.last_term}{hurry}"
        case PreVoteReply():
            return VOTE, "I would" if m.granted else "I would not"
        case VoteReply():
            return VOTE, "you have my vote" if m.granted else "no vote for you"
        case InstallSnapshot():
            return SNAPSHOT, f"snapshot at {m.meta.index}:{m.meta.term}, bytes from {m.offset}"
        case SnapshotReply():
            has = "installed" if m.installed else f"has {m.offset} bytes"
            return SNAPSHOT, f"snapshot at {m.index}: {has}"
    return NODE, type(m).__name__


def about_mail(mail: Any) -> tuple[str, str, str]:
    """Its kind, its group, and what it says."""
    match mail:
        case ClientRequest():
            asked = [f"command {seq}" for seq in range(mail.first, mail.first + len(mail.commands))]
            asked += [f"query {mail.first_query + place}" for place in range(len(mail.queries))]
            return CLIENT, mail.group, ", ".join(asked) or ("open a session" if mail.opens else "hello")
        case ClientReply():
            told = [_about_outcomes(outcomes) for outcomes in mail.results]
            told += [
                f"query {one.first + place} answered"
                for one in mail.answers
                for place in range(len(one.values))
            ]
            told += [f"refused: {refusal.error.what or refusal.error.kind}" for refusal in mail.refusals]
            return CLIENT, mail.group, ", ".join(told) or "session opened"
        case WatchGroup():
            after = "from now on" if mail.after is None else f"after revision {mail.after[0]}"
            return CLIENT, mail.group, f"watch {after}"
        case KeepWatch():
            return CLIENT, mail.group, "watch no more" if mail.leaves else "still watching"
        case WatchReply():
            why = mail.error.what or mail.error.kind if mail.error is not None else ""
            return CLIENT, mail.group, f"watch: {why or f'{len(mail.events)} events'}"
        case GroupRequest():
            return NODE, mail.group, f"operator: {type(mail.op).__name__}"
    what = getattr(mail, "op", mail)
    return NODE, "", type(what).__name__


def _about_outcomes(outcomes: Outcomes) -> str:
    count = len(outcomes.values)
    which = (
        f"command {outcomes.first}"
        if count == 1
        else f"commands {outcomes.first}-{outcomes.first + count - 1}"
    )
    return f"{which}: {outcomes.status} at {outcomes.revision}"


def about_write(write: Write) -> list[str]:
    says = []
    if write.hard is not None:
        vote = node_of(write.hard.vote) if write.hard.vote else "none"
        says.append(f"term {write.hard.term}, vote {vote}")
    if write.snapshot is not None:
        says.append(f"snapshot at {write.snapshot.meta.index}")
    if write.entries:
        says.append(f"entries {write.entries[0].index}-{write.entries[-1].index}")
    return says or ["housekeeping"]


def lines(events: Sequence[Event]) -> list[str]:
    """One an event, in a form that never differs."""
    return [msgspec.json.encode(event).decode() for event in events]
