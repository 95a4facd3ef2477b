"""Whether users' classes can be loaded on this node."""

from collections import deque
from collections.abc import Callable
from typing import Final

from fleet.actors.executor.hosted_objects import HostedObjects
from fleet.actors.messages.executor import ClassTried, FromExecutor, TryClass
from fleet.actors.node.parts import Node
from fleet.errors import DataClassUnavailable, FleetError, OtherCode, Overloaded
from fleet.objects.class_refs import class_name, is_built_in

TRIALS_MAX: Final = 16
"""Classes that wait for a fresh executor, besides the one that is tried in it."""

Then = Callable[[FleetError | None], None]


class TriedClasses:
    """An executor loads them, where the node has one: whatever their import does is the caller's error.

    Invariants: a class is tried once at a time, however often a client repeats its request meanwhile; and one
    class at a time is tried in a fresh executor, which is a process, however many others fail to load.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.waiting: dict[int, tuple[TryClass, list[Then]]] = {}
        self.token = 0
        self.trial = 0
        """The token of the question that a fresh executor has; 0: none has."""
        self.trials: deque[int] = deque()
        """Questions for a fresh executor, by token."""

    def try_class(self, data_class: bytes, then: Then) -> None:
        for question, asking in self.waiting.values():
            if question.data_class == data_class:
                asking.append(then)
                return
        self._ask(self._wait(data_class, [then], is_fresh=False))

    def _wait(self, data_class: bytes, asking: list[Then], is_fresh: bool) -> TryClass:
        self.token += 1
        question = TryClass(0, self.token, data_class, is_fresh)
        self.waiting[self.token] = question, asking
        return question

    def _ask(self, question: TryClass) -> None:
        executors = self.node.executors
        if executors is None or is_built_in(question.data_class):
            HostedObjects(self._take, self.node.start.fork).handle(question)
        else:
            self.node.send(executors, question)

    def _try_afresh(self, data_class: bytes, asking: list[Then]) -> None:
        if len(self.trials) >= TRIALS_MAX:
            error = Overloaded(
                f"{TRIALS_MAX} other classes wait to be tried on the node", data_class=class_name(data_class)
            )
            self._tell(asking, error)
            return
        self.trials.append(self._wait(data_class, asking, is_fresh=True).run)
        self._next_trial()

    def _next_trial(self) -> None:
        if not self.trial and self.trials:
            self.trial = self.trials.popleft()
            self._ask(self.waiting[self.trial][0])

    def _take(self, answer: FromExecutor) -> None:
        assert isinstance(answer, ClassTried)
        self.on_tried(answer)

    def on_tried(self, m: ClassTried) -> None:
        question, asking = self.waiting.pop(m.run, (None, []))
        if question is None:
            return
        error = m.error.to_error() if m.error is not None else None
        if isinstance(error, OtherCode | DataClassUnavailable) and not question.is_fresh:
            # The module was imported before it was changed, perhaps before it had this class.
            self._try_afresh(question.data_class, asking)
            return
        if question.is_fresh:
            assert m.run == self.trial, f"trial {m.run} was answered, and {self.trial} is under way"
            self.trial = 0
        self._tell(asking, error)
        self._next_trial()

    def _tell(self, asking: list[Then], error: FleetError | None) -> None:
        for then in asking:
            then(error)
