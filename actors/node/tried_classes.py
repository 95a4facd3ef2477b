"""Whether users' classes can be loaded on this node."""

from collections.abc import Callable

from fleet.actors.executor.hosted_objects import HostedObjects
from fleet.actors.messages.executor import ClassTried, FromExecutor, TryClass
from fleet.actors.node.parts import Node
from fleet.errors import FleetError
from fleet.objects.class_refs import is_built_in

Then = Callable[[FleetError | None], None]


class TriedClasses:
    """An executor loads them, where the node has one: whatever their import does is the caller's error."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.waiting: dict[int, Then] = {}
        self.token = 0

    def try_class(self, data_class: bytes, then: Then) -> None:
        executors = self.node.executors
        self.token += 1
        self.waiting[self.token] = then
        question = TryClass(0, self.token, data_class)
        if executors is None or is_built_in(data_class):
            HostedObjects(self._take, self.node.start.fork).handle(question)
        else:
            self.node.send(executors, question)

    def _take(self, answer: FromExecutor) -> None:
        assert isinstance(answer, ClassTried)
        self.on_tried(answer)

    def on_tried(self, m: ClassTried) -> None:
        then = self.waiting.pop(m.run, None)
        if then is not None:
            then(m.error.to_error() if m.error is not None else None)
