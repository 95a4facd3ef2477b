"""Whether a node can load a class: in an executor that has its module already, then in a fresh one."""

from types import SimpleNamespace
from typing import Any

import msgspec

from fleet.actors.messages.executor import ClassTried, TryClass
from fleet.actors.node.tried_classes import TRIALS_MAX, TriedClasses
from fleet.errors import DataClassUnavailable, FleetError, OtherCode, Overloaded
from fleet.objects.class_refs import ClassRef, encode_class
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

    def answer_to(self, number: int, error: FleetError) -> None:
        """The first question about that class."""
        run = next(one.run for one in self.asked if one.data_class == class_number(number))
        self.classes.on_tried(ClassTried(0, run, ErrorRecord.of(error)))


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


def class_number(number: int) -> bytes:
    return msgspec.msgpack.encode(ClassRef(f"Tally{number}", "shop", b""))


def test_one_class_at_a_time_is_tried_in_a_fresh_executor() -> None:
    """Whoever named other classes that are not there started as many processes at once."""
    tried, count = Tried(), TRIALS_MAX + 3
    for number in range(count):
        tried.ask(class_number(number))
        tried.answer_to(number, MISSING)
    fresh = [one for one in tried.asked if one.is_fresh]
    assert [one.data_class for one in fresh] == [class_number(0)]
    assert len(tried.told) == 2 and all(isinstance(one, Overloaded) for one in tried.told)
    tried.ask(class_number(5))
    assert len(tried.asked) == count + 1, "it waits already"
    for number in range(TRIALS_MAX + 1):
        trial = [one for one in tried.asked if one.is_fresh][-1]
        assert trial.data_class == class_number(number)
        tried.classes.on_tried(ClassTried(0, trial.run, ErrorRecord.of(MISSING)))
    assert len(tried.told) == count + 1 and tried.classes.waiting == {}
    tried.ask(class_number(1))
    tried.answer(MISSING)
    assert tried.asked[-1].is_fresh, "the next one is tried again"
