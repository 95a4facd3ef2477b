"""The calls on one group and their answers, checked with the class itself as the model."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from fleet.errors import FleetError, KeyReused, NotDone, OutcomeUnknown, Rejected
from fleet.interfaces import Context
from fleet.objects.applier import REUSED_KEY
from fleet.objects.executor import ObjectExecutor
from fleet.objects.handles import Kind
from fleet.objects.keyed import is_keyed, read_keyed, without_key
from fleet.objects.payload import decode_result, encode_not_done, is_success
from fleet.objects.typed import any_call
from fleet.sim.checks.history import History
from fleet.sim.checks.linear import Undecided, Violation, check
from fleet.sim.checks.models import Model

STEPS_MAX = 200_000
ANY = Context(revision=1, now_ms=0, session=1, seq=1, client="model")


class NotDecided(AssertionError):
    """Too many calls were concurrent, or had an unknown outcome, for the search to finish."""


class Called(Struct, frozen=True):
    kind: Kind
    payload: bytes

    def __str__(self) -> str:
        method, args, kwargs = any_call(without_key(self.payload))
        shown = [repr(arg) for arg in args] + [f"{key}={value!r}" for key, value in kwargs.items()]
        return f"{method}({', '.join(shown)})"


class Calls:
    """Of one group."""

    def __init__(self, group: str, cls: type[Any]) -> None:
        self.group = group
        self.cls = cls
        self.history = History()
        self.lines: list[str] = []

    def begins(
        self, client: str, kind: Kind, method: str, payload: bytes, now: int, since: int | None = None
    ) -> Callable[[bytes | None, FleetError | None, int], None]:
        """To be called once with the outcome. `since`: the earliest time whose state a query may be told."""
        called = Called(kind, payload)
        call = self.history.call(client, self.group, called, now, since)

        def ends(value: bytes | None, error: FleetError | None, at: int) -> None:
            if value is not None:
                self.history.done(call, answer_of(value), at)
            elif isinstance(error, OutcomeUnknown) and kind == "command":
                self.history.lost(call)
            else:
                assert kind == "query" or isinstance(error, NotDone), f"{called} was told {error!r}"
                self.history.failed(call)

        return ends

    def violation(self) -> str | None:
        """Raises NotDecided."""
        verdict = check(self.history.operations(), ClassModel(self.cls), steps_max=STEPS_MAX)
        if isinstance(verdict, Undecided):
            hint = "let fewer clients call at a time, or fewer calls be lost"
            raise NotDecided(f"whether the calls of {self.group} are linearizable is {verdict}\n{hint}")
        return str(verdict) if isinstance(verdict, Violation) else None


def answer_of(record: bytes) -> Any:
    """A result in comparable form: the value, or the error it stands for."""
    try:
        return ("value", decode_result(record))
    except Rejected as refusal:
        return ("rejected", refusal.value)
    except FleetError as error:
        return (type(error).__name__, getattr(error, "error", None), error.what)


REUSED = answer_of(encode_not_done(KeyReused(REUSED_KEY)))
"""What is answered where another command had the key."""


class UsedKey(Struct, frozen=True):
    """Whatever is called under it later is answered alike. That keys are forgotten is left out of account."""

    key: str
    digest: bytes
    answer: Any


class ClassModel(Model):
    """The state is the encoded object, and the keys that commands had."""

    def __init__(self, cls: type[Any]) -> None:
        self.executor = ObjectExecutor(cls)
        self.noun = cls.__name__
        self.start = self.executor.dump(), ()
        self._known: dict[tuple[bytes, bytes], tuple[Any, bytes]] = {}

    def apply(self, state: Any, input: Any) -> tuple[Any, Any]:
        keyed = read_keyed(input.payload) if is_keyed(input.payload) else None
        if keyed is None:
            answer, after = self._apply_known(state[0], input)
            return answer, state if after is state[0] else (after, state[1])
        used = next((one for one in state[1] if one.key == keyed.key), None)
        if used is not None:
            return used.answer if used.digest == keyed.digest else REUSED, state
        answer, after = self._apply_known(state[0], Called(input.kind, keyed.payload))
        return answer, (after, (*state[1], UsedKey(keyed.key, keyed.digest, answer)))

    def _apply_known(self, state: bytes, input: Called) -> tuple[Any, bytes]:
        known = self._known.get((state, input.payload))
        if known is None:
            known = self._known[state, input.payload] = self._apply(state, input)
        return known

    def _apply(self, state: bytes, input: Called) -> tuple[Any, bytes]:
        executor = self.executor
        executor.load(state)
        if input.kind == "query":
            (record,), _ = executor.query((input.payload,))
            return answer_of(record), state
        (record,), is_clean = executor.apply(ANY, (input.payload,))
        return answer_of(record), executor.dump() if is_clean and is_success(record) else state

    def reads(self, input: Any, told: Any) -> bool:
        return bool(input.kind == "query")
