"""Whether users' classes can be loaded on this node."""

from collections.abc import Callable

from fleet.actors.executor.hosted_objects import HostedObjects
from fleet.actors.messages.executor import ClassTried, FromExecutor, TryClass
from fleet.actors.node.parts import Node
from fleet.errors import FleetError, OtherCode
from fleet.objects.class_refs import is_built_in

Then = Callable[[FleetError | None], None]


class TriedClasses:
    """An executor loads them, where the node has one: whatever their import does is the caller's error."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.waiting: dict[int, tuple[TryClass, Then]] = {}
        self.token = 0

    def try_class(self, data_class: bytes, then: Then) -> None:
        self._try(data_class, then, is_fresh=False)

    def _try(self, data_class: bytes, then: Then, is_fresh: bool) -> None:
        executors = self.node.executors
        self.token += 1
        question = TryClass(0, self.token, data_class, is_fresh)
        self.waiting[self.token] = question, then
        if executors is None or is_built_in(data_class):
            HostedObjects(self._take, self.node.start.fork).handle(question)
        else:
            self.node.send(executors, question)

    def _take(self, answer: FromExecutor) -> None:
        assert isinstance(answer, ClassTried)
        self.on_tried(answer)

    def on_tried(self, m: ClassTried) -> None:
        question, then = self.waiting.pop(m.run, (None, None))
        if question is None or then is None:
            return
        error = m.error.to_error() if m.error is not None else None
        if isinstance(error, OtherCode) and not question.is_fresh:
            self._try(
                question.data_class, then, is_fresh=True
            )  # the module was imported before it was changed
        else:
            then(error)
