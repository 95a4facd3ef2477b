"""Conversations of Raft cores, as text: each file in `scenarios/` is a story told by real cores.

A line at the margin is a command, `#` begins a comment, and the indented lines below a command are what
the cores answered to it. `test_conversations.py` carries the commands out and compares; after a change
that is meant, `FLEET_REWRITE=1 pytest tests/raft/test_conversations.py` writes the answers down anew.
Then read the difference line by line: the text is the claim, and only a reader can tell a wrong one.

Nothing happens by itself: messages wait in their link until a command delivers or drops them, time stands
still until a command moves it, and a member notices time only when it is ticked. Only writes complete at
once, on a disk that is not held.

    group n1 n2 n3 [setting=value ...]   founders, each with the founding entry (index 1, term 1) on its disk
    start n4                             a newcomer with an empty disk
    wait 300                             the clock goes on, nobody is ticked
    tick n1 [300]                        the clock goes on (by nothing), n1 looks at it
    timeout n1                           the clock goes on to n1's next deadline, n1 looks at it
    deliver [n1->n2 ...] [count]         what waits now in these links (all), in order, at most `count` each
    drop [n1->n2 ...] [count]            the same, lost
    cut n1 [n2->n3 ...]                  nothing passes between n1 and all others, and from n2 to n3
    heal                                 everything passes
    settle [n1 n2 ...]                   deliver (between these) until nothing is left; no message is told
    live 1000                            time passes as it would: members are ticked when due, all settles
    propose n1 x / read n1               a command with the payload x / a linearizable read
    change n1 add|promote|demote|remove n4
    transfer n1 n2 | none                n1 hands its leadership over / calls that off
    hold n1 / persist n1                 n1's writes wait / complete now, and those to come at once
    crash n1 / restart n1                the disk keeps what completed; messages under way stay under way
    status                               every member at a glance

An answer names what is different for a member, then what it sends and does:

    n1: role=leader log=1,2              fields that changed; `log`: the term of each entry (..3: compacted)
    n1 -> n2 AppendEntries term=2 prev_index=1 prev_term=1 entries=[2@2 Noop] commit=1
                                         entries are index@term body; clocks and what is 0 or empty: left out
    n1: applies 3@2 x                    a command is executed; `may read` and `answers` end a request

After every command the whole group is checked: one leader a term, and equal entries up to each commit.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from fleet.raft.config import GroupConfig
from fleet.raft.entries import (
    Commands,
    Entry,
    Founded,
    HardState,
    MemberAdded,
    MemberChange,
    MemberDemoted,
    MemberPromoted,
    MemberRemoved,
)
from fleet.raft.events import Change, LocalEvent, Propose, ReadQuery, Tick, Transfer
from fleet.raft.ids import MemberId, node_of
from fleet.raft.messages import PeerMessage
from fleet.raft.restart import start_core
from tests.raft.host import Disk
from tests.raft.stage import Player, Stage, member
from tests.raft.telling import state_of, told

CHANGES: dict[str, Callable[[MemberId], MemberChange]] = {
    "add": lambda member: MemberAdded(member, f"at {node_of(member)}"),
    "promote": MemberPromoted,
    "demote": MemberDemoted,
    "remove": MemberRemoved,
}


class Conversation(Stage):
    """Carries out one command after the other; `lines` are what was answered."""

    def run(self, line: str) -> list[str]:
        name, *words = line.split()
        self.lines = []
        getattr(self, f"do_{name}")(*words)
        self.check()
        return self.lines

    # -- commands ---

    def do_group(self, *words: str) -> None:
        names = [word for word in words if "=" not in word]
        settings = dict(word.split("=") for word in words if "=" in word)
        given = {key: msgspec.json.decode(value) for key, value in settings.items()}
        self.config = GroupConfig(**{"heartbeat_ms": 100} | given)
        first, *others = ((member(name), f"at {name}") for name in names)
        founded = Entry(1, 1, Founded(*first, self.config, tuple(others)))
        for name in names:
            self.players[name] = Player(name, Disk(HardState(1), entries={1: founded}))
            self.do_restart(name)

    def do_start(self, name: str) -> None:
        self.players[name] = Player(name, Disk())
        self.do_restart(name)

    def do_crash(self, name: str) -> None:
        self.players[name].crash()

    def do_restart(self, name: str) -> None:
        player, disk = self.players[name], self.players[name].disk
        player.crash()
        rng = random.Random(f"{name} {self.now}")
        player.core = start_core(member(name), self.now, rng, disk.hard, disk.snapshot, disk.log())
        self.pump(player)

    def do_wait(self, duration: str) -> None:
        self.now += int(duration)

    def do_tick(self, name: str, duration: str = "0") -> None:
        self.do_wait(duration)
        self.step(name, Tick())

    def do_timeout(self, name: str) -> None:
        core = self.players[name].core
        assert core is not None, f"{name} does not run"
        self.now = max(self.now, core.deadline)
        self.step(name, Tick())

    def do_deliver(self, *words: str) -> None:
        for message in self.taken(words):
            self.step(node_of(message.dst), message)

    def do_drop(self, *words: str) -> None:
        for message in self.taken(words):
            self.lines.append(f"lost: {told(message)}")

    def do_cut(self, *words: str) -> None:
        names = {word for word in words if "->" not in word}
        self.cut = {(a, b) for a in self.players for b in self.players if (a in names) != (b in names)}
        self.cut |= {(a, b) for a, _, b in (word.partition("->") for word in words)}

    def do_heal(self) -> None:
        self.cut = set()

    def do_settle(self, *names: str) -> None:
        def is_meant(link: tuple[str, str]) -> bool:
            return bool(self.links[link]) and (not names or set(link) <= set(names))

        while busy := sorted(filter(is_meant, self.links)):
            self.do_deliver(*map("->".join, busy))
        self.lines = [line for line in self.lines if " -> " not in line and " is down" not in line]

    def do_live(self, duration: str) -> None:
        end = self.now + int(duration)
        while True:
            self.do_settle()
            due = {name: player.core.deadline for name, player in self.players.items() if player.core}
            name = min(due, key=due.__getitem__)
            if due[name] > end:
                break
            self.do_timeout(name)
        self.now = end

    def do_propose(self, name: str, payload: str) -> None:
        number = len(self.asked) + 1
        self.ask(
            name,
            f"propose {payload}",
            lambda t: Propose(
                t, (Commands(session=1, first=number, acked=0, wall_ms=0, payloads=(payload.encode(),)),)
            ),
        )

    def do_read(self, name: str) -> None:
        self.ask(name, "read", ReadQuery)

    def do_change(self, name: str, kind: str, whom: str) -> None:
        self.ask(name, f"{kind} {whom}", lambda token: Change(token, CHANGES[kind](member(whom))))

    def do_transfer(self, name: str, target: str) -> None:
        whom = None if target == "none" else member(target)
        self.ask(name, f"transfer to {target}", lambda token: Transfer(token, whom))

    def do_hold(self, name: str) -> None:
        self.players[name].holds = True

    def do_persist(self, name: str) -> None:
        self.players[name].holds = False
        self.pump(self.players[name])

    def do_status(self) -> None:
        for player in self.players.values():
            facts = state_of(player.core) if player.core else {"role": "down"}
            self.lines.append(f"{player.name}: " + " ".join(f"{key}={value}" for key, value in facts.items()))

    # -- carrying out ---

    def taken(self, words: Iterable[str]) -> list[PeerMessage]:
        """What waits in these links, all of them unless some are named; it waits there no longer."""
        most = next((int(word) for word in words if word.isdecimal()), None)
        named = [(word.split("->")[0], word.split("->")[1]) for word in words if not word.isdecimal()]
        messages = []
        for link in named or sorted(self.links):
            waiting = self.links.get(link, deque())
            assert waiting or not named, f"nothing waits in {link[0]}->{link[1]}"
            messages += [waiting.popleft() for _ in range(min(most or len(waiting), len(waiting)))]
        return messages

    def ask(self, name: str, what: str, make: Callable[[int], LocalEvent]) -> None:
        self.asked.append(what)
        self.step(name, make(len(self.asked) - 1))


def play(path: Path) -> str:
    """The file as the cores of today tell it."""
    conversation, text = Conversation(), []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith(" "):
            continue
        text.append(line)
        if line and not line.startswith("#"):
            try:
                text += ["    " + answer for answer in conversation.run(line)]
            except Exception as error:
                error.add_note(f"{path.name}, line {number}: {line}")
                raise
    return "\n".join(text) + "\n"
