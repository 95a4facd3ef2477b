"""Log lines that other processes could cause a thousand times a second."""

import logging
from typing import Any

_EVERY_S = 60.0
_REMEMBERED_MAX = 1000
"""Different things logged per period; more are not logged."""


class RareLog:
    """Logs the same thing at most once a minute."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._logged: dict[tuple[str, str], float] = {}

    def __call__(
        self, now: float, kind: str, about: str, text: str, *args: Any, level: int = logging.WARNING
    ) -> None:
        """Two lines are about the same thing if `kind` and `about` are equal; `now` is in seconds."""
        if now - self._logged.get((kind, about), -_EVERY_S) < _EVERY_S:
            return
        if len(self._logged) > _REMEMBERED_MAX:
            self._logged = {key: at for key, at in self._logged.items() if now - at < _EVERY_S}
            if len(self._logged) > _REMEMBERED_MAX:
                return
        self._logged[(kind, about)] = now
        self._log.log(level, text, *args)
