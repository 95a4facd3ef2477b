"""Whether a node can load a class: in an executor that has its module already, then in a fresh one."""

from types import SimpleNamespace
from typing import Any

from fleet.actors.messages.executor import ClassTried, TryClass
from fleet.actors.node.tried_classes import TriedClasses
from fleet.errors import DataClassUnavailable, FleetError, OtherCode
from fleet.objects.class_refs import encode_class
from fleet.objects.payload import ErrorRecord
from tests.support.classes import Counter, Ledger

COUNTER, LEDGER = encode_class(Counter), encode_class(Ledger)
MISSING = DataClassUnavailable("AttributeError: module 'shop' has no attribute 'Tally'")


class Tried:
    def __init__(self) -> None:
        self.asked: list[TryClass] = []
        self.told: list[FleetError | None] = []
        node: Any = SimpleNamespace(executors="executors", send=lambda target, m: self.asked.append(m))
        self.classes = TriedClasses(node)

    def ask(self, data_class: bytes = COUNTER) -> None:
        self.classes.try_class(data_class, self.told.append)

    def answer(self, error: FleetError | None = None) -> None:
        record = ErrorRecord.of(error) if error is not None else None
        self.classes.on_tried(ClassTried(0, self.asked[-1].run, record))


def test_a_class_that_an_old_import_does_not_have_is_tried_in_a_fresh_executor() -> None:
    """It was refused, although the module on the disk has it."""
    for error in (MISSING, OtherCode("of version 2")):
        tried = Tried()
        tried.ask()
        tried.answer(error)
        assert [one.is_fresh for one in tried.asked] == [False, True] and tried.told == []
        tried.answer()
        assert tried.told == [None] and tried.classes.waiting == {}


def test_a_fresh_executor_has_the_last_word() -> None:
    tried = Tried()
    tried.ask()
    tried.answer(MISSING)
    tried.answer(MISSING)
    assert len(tried.asked) == 2 and [str(one) for one in tried.told] == [str(MISSING)]


def test_a_request_that_is_repeated_meanwhile_starts_no_further_executor() -> None:
    tried = Tried()
    for _ in range(3):
        tried.ask()
    tried.answer(MISSING)
    tried.ask()
    assert len(tried.asked) == 2
    tried.ask(LEDGER)
    assert [one.data_class for one in tried.asked[2:]] == [LEDGER]
    tried.classes.on_tried(ClassTried(0, tried.asked[1].run, None))
    assert tried.told == [None] * 4
