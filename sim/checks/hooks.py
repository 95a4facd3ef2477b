"""What leader hooks are told: a leadership from its beginning to its end, with every command in between.

The hooks of a register's leader are told of its value when it is elected, and of each command that
is executed from then on: carried out on that value, they give what the callers were told.
"""

from dataclasses import dataclass
from typing import Any, Protocol


class JudgedWorld(Protocol):
    def mark(self, name: str) -> None: ...

    def accuse(self, sentence: str) -> None: ...


@dataclass(slots=True)
class Leadership:
    """As the hooks object of one member's life knows it."""

    term: int = 0
    """0: it does not lead."""
    last_term: int = 0
    value: Any = None
    revision: int = 0


class HookJournal:
    def __init__(self, world: JudgedWorld) -> None:
        self.world = world
        self.leaderships: dict[int, tuple[Any, Leadership]] = {}
        """By the identity of the hooks object, which is kept so that no other has it."""
        self.effects: dict[str, list[tuple[int, int]]] = {}
        """What was told, by group."""

    def note(self, teller: Any, name: str, told: tuple[Any, ...]) -> None:
        _, known = self.leaderships.setdefault(id(teller), (teller, Leadership()))
        who = f"{teller.group}: hooks of {teller.member}"
        match name, told:
            case "elected", (value, term):
                self._need(known.term == 0, f"{who} are elected in term {term} while they lead")
                self._need(term > known.last_term, f"{who} are elected twice in term {term}")
                known.term = known.last_term = term
                known.value, known.revision = value, 0
            case "stepped down", (term,):
                self._need(known.term == term, f"{who} step down in term {term}, they lead in {known.term}")
                known.term = 0
                self.world.mark("a leader's hooks are told that it steps down")
            case "committed", (event,):
                self._need(known.term > 0, f"{who} are told of revision {event.revision} and do not lead")
                self._on_committed(who, known, event)
            case "answered", _:
                self._need(known.term > 0, f"{who} are told of a query and do not lead")
            case "effect", (effect,):
                self._on_effect(teller.group, who, (effect.revision, effect.number))
            case "restored", _:
                self._need(known.last_term == 0, f"{who} are restored after an election")
                self.world.mark("a leader's hooks are told that it was restored")

    def _on_effect(self, group: str, who: str, position: tuple[int, int]) -> None:
        """One that was told before may be told again; all others come in order."""
        seen = self.effects.setdefault(group, [])
        if not seen or position > seen[-1]:
            seen.append(position)
        else:
            self._need(position in seen, f"{who} are told of effect {position} behind {seen[-1]}")
            self.world.mark("an effect is told again, since it was not acknowledged")

    def _on_committed(self, who: str, known: Leadership, event: Any) -> None:
        self._need(event.revision > known.revision, f"{who} are told of revision {event.revision} late")
        known.revision = event.revision
        if event.inherited:
            self.world.mark("a leader's hooks are told of a command that an earlier leader proposed")
            return
        if event.error is not None:
            return
        expected = None
        if event.method == "cas":
            old, new = event.args[:2]
            expected = known.value == old
            known.value = new if expected else known.value
        elif event.method == "write":
            known.value = event.args[0]
        said = f"{event.method}{event.args} at {event.revision} answered {event.value}"
        self._need(event.value == expected, f"{who} missed a command: {said}, not {expected}")

    def _need(self, holds: bool, sentence: str) -> None:
        if not holds:
            self.world.accuse(sentence)
