"""The object of a member that has other code than its group's class: the state, and nothing that runs."""

from collections.abc import Sequence
from typing import NoReturn

from fleet.errors import FleetError, OtherCode
from fleet.interfaces import RESULTS_BYTES_MAX, Context
from fleet.raft.group_events import GroupEvent
from fleet.raft.ids import Millis
from fleet.raft.reminders import ReminderTable


class SealedState:
    """A `fleet.interfaces.Executor` that keeps the state as it is, encoded, and executes nothing."""

    wants_effects = True  # what is kept stays as it is
    effects_room = 0, 0
    weight = 0
    events_max = events_bytes_max = 1 << 62  # the class that is loaded later has limits
    methods: tuple[str, ...] = ()

    def __init__(self, why: OtherCode, offer: bytes = b"") -> None:
        self.why = why
        self.offer = offer
        """The class that was found instead, if its groups may change to it by themselves."""
        self.reminders = ReminderTable()
        self._state = b""

    def apply(
        self,
        context: Context,
        payloads: Sequence[bytes],
        bytes_max: int = RESULTS_BYTES_MAX,
        is_due: bool = False,
        weigh: bool = False,
    ) -> tuple[list[bytes], bool]:
        """Raises OtherCode."""
        self._refuse()

    @property
    def keep_ms(self) -> Millis:
        """The class says it. Raises OtherCode."""
        self._refuse()

    def take_events(self) -> tuple[GroupEvent, ...]:
        return ()

    def replay(self, context: Context, payloads: Sequence[bytes], is_due: bool = False) -> None:
        """Raises OtherCode."""
        self._refuse()

    def query(self, payloads: Sequence[bytes]) -> tuple[list[bytes], bool]:
        """Raises OtherCode."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise self.why

    def check(self, payload: bytes) -> str | None:
        return str(self.why)

    def dump(self, version: int = 0) -> bytes:
        """What was loaded."""
        return self._state

    def trouble(self) -> FleetError | None:
        return None

    def load(self, state: bytes | None) -> None:
        self._state = state or b""
