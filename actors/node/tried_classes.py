"""Whether users' classes can be loaded on this node."""

from collections.abc import Callable

from fleet.actors.executor.hosted_objects import HostedObjects
from fleet.actors.messages.executor import ClassTried, FromExecutor, TryClass
from fleet.actors.node.parts import Node
from fleet.errors import DataClassUnavailable, FleetError, OtherCode
from fleet.objects.class_refs import is_built_in

Then = Callable[[FleetError | None], None]


class TriedClasses:
    """An executor loads them, where the node has one: whatever their import does is the caller's error.

    Invariant: a class is tried once at a time, however often a client repeats its request meanwhile.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.waiting: dict[int, tuple[TryClass, list[Then]]] = {}
        self.token = 0

    def try_class(self, data_class: bytes, then: Then) -> None:
        for question, asking in self.waiting.values():
            if question.data_class == data_class:
                asking.append(then)
                return
        self._try(data_class, [then], is_fresh=False)

    def _try(self, data_class: bytes, asking: list[Then], is_fresh: bool) -> None:
        executors = self.node.executors
        self.token += 1
        question = TryClass(0, self.token, data_class, is_fresh)
        self.waiting[self.token] = question, asking
        if executors is None or is_built_in(data_class):
            HostedObjects(self._take, self.node.start.fork).handle(question)
        else:
            self.node.send(executors, question)

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
            self._try(question.data_class, asking, is_fresh=True)
            return
        for then in asking:
            then(error)
