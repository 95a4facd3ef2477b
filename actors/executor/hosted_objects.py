"""All objects of one executor, by their members' numbers, and the classes that it is asked to try."""

import time
from collections.abc import Callable

from fleet.actors.executor.hosted_object import HostedObject
from fleet.actors.executor.kept_states import KeptStates
from fleet.actors.messages.executor import (
    ClassTried,
    CloseObject,
    FromExecutor,
    ObjectDumped,
    ObjectFailed,
    ObjectMessage,
    ObjectOpened,
    OpenObject,
    SetLimit,
    TryClass,
)
from fleet.errors import DataClassUnavailable, FleetError
from fleet.interfaces import Dump, Fork
from fleet.objects.applied_state import dumped_object
from fleet.objects.class_refs import check_code, class_name, decode_class
from fleet.objects.described import message_of
from fleet.objects.executor import ObjectExecutor
from fleet.objects.hooks import HookRunner
from fleet.objects.payload import ErrorRecord
from fleet.objects.progress import OTHER, Cells, begin, end, no_cells
from fleet.objects.sealed import SealedState


class HostedObjects:
    """An `ObjectHost`. `answer` is called with each answer, within `handle` or `on_dumped`."""

    def __init__(
        self,
        answer: Callable[[FromExecutor], None],
        fork: Fork,
        *,
        cells: Cells | None = None,
        fork_above_bytes: int = 0,
        hooks: HookRunner | None = None,
        now: Callable[[], float] = time.monotonic,
        tells_tracebacks: bool = False,
    ) -> None:
        self.answer = answer
        self.fork = fork
        self.fork_above_bytes = fork_above_bytes
        self.cells = no_cells() if cells is None else cells
        self.hooks = hooks
        self.now = now
        self.tells_tracebacks = tells_tracebacks
        self.objects: dict[int, HostedObject] = {}
        self.dumping: dict[int, tuple[HostedObject, Dump]] = {}
        """By the descriptor that is readable when a child is done."""
        self.kept = KeptStates()

    def answer_from_memory(self, message: ObjectDumped, dump: Dump) -> None:
        self.answer(message)
        dump.release()

    def handle(self, m: ObjectMessage) -> None:
        hosted, kind = self.objects.get(m.number), type(m)
        if isinstance(m, OpenObject):
            self._open(m)
        elif isinstance(m, TryClass):
            self._try(m)
        elif hosted is None or hosted.run != m.run or kind is SetLimit:
            return  # of an object that is gone, or not for it
        elif kind is CloseObject:
            hosted.close()
            del self.objects[m.number]
        else:
            hosted.handle(m)

    def _open(self, m: OpenObject) -> None:
        former = self.objects.pop(m.number, None)
        if former is not None:
            former.close()
        begin(self.cells, OTHER, m.number, m.run)
        try:
            hosted = self.objects[m.number] = HostedObject(self, m)
            why = hosted.other_code
            other = ErrorRecord.of(why) if why is not None else None
            offer = hosted.executor.offer if isinstance(hosted.executor, SealedState) else b""
            about = m.number, m.run, hosted.executor.methods, other, offer
            answer: FromExecutor = ObjectOpened(*about)
        except BaseException as error:  # the class is the user's, and may raise anything
            told = as_unavailable(error, m.data_class)
            answer = ObjectFailed(m.number, m.run, ErrorRecord.of(told), told.retry)
        end(self.cells)
        self.answer(answer)

    def _try(self, m: TryClass) -> None:
        error: FleetError | None = None
        begin(self.cells, OTHER, m.number, m.run)
        try:
            cls = decode_class(m.data_class)
            check_code(m.data_class, cls)
            executor = ObjectExecutor(cls)
            if m.state:
                executor.load(dumped_object(m.state) or None)
            executor.dump()
        except BaseException as raised:
            error = as_unavailable(raised, m.data_class)
        finally:
            end(self.cells)
        self.answer(ClassTried(m.number, m.run, ErrorRecord.of(error) if error is not None else None))

    def wait_for(self, hosted: HostedObject, dump: Dump | None) -> None:
        self.dumping = {fd: one for fd, one in self.dumping.items() if one[0] is not hosted}
        if dump is not None:
            self.dumping[dump.fileno()] = hosted, dump

    def on_dumped(self, fileno: int) -> None:
        """That descriptor was reported as readable."""
        hosted, _ = self.dumping.get(fileno, (None, None))
        if hosted is not None:
            hosted.on_dumped()

    def close(self) -> None:
        """Cancel what children encode. Idempotent."""
        for hosted in self.objects.values():
            hosted.close()
        self.objects.clear()


def as_unavailable(error: BaseException, data_class: bytes) -> FleetError:
    """As it is told to the caller."""
    if isinstance(error, FleetError):
        return error
    what = f"a new object cannot be created: {type(error).__name__}: {message_of(error)}"
    return DataClassUnavailable(what, data_class=class_name(data_class))
