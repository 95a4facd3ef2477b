"""What all errors have, and the user's own refusal."""

from functools import partial
from typing import Any, ClassVar, cast


class FleetError(Exception):
    """Base class. Keyword facts become attributes and are part of the message.

    `retry`: whether making the same call again is safe and may succeed. False after OutcomeUnknown, since a
    new call may be executed besides this one: use `again`. `hint`: what to do next.
    """

    retry: ClassVar[bool] = False
    hint: ClassVar[str] = ""

    def __init__(self, what: str = "", /, **facts: Any) -> None:
        super().__init__(what)
        self.what = what
        self.facts = {key: value for key, value in facts.items() if value is not None}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "facts":
            raise AttributeError(name)
        if name in self.facts:
            return self.facts[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}; its facts: {self.facts}")

    @property
    def remote_traceback(self) -> str:
        return cast(str, self.facts.get("remote_traceback", ""))

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), self.what, **self.facts), ()

    def __str__(self) -> str:
        facts = ", ".join(f"{key}={value}" for key, value in self.facts.items() if key != "remote_traceback")
        parts = (self.what or type(self).__name__, facts and f"({facts})", self.hint and f"- {self.hint}")
        return " ".join(part for part in parts if part)


class Reject(Exception):
    """Raise it inside a command, before it changes anything, to refuse: the caller gets `Rejected(value)`.

    Fields that were assigned before are taken back. A deeper change, such as an item added to a list, stays.
    """

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


class Rejected(FleetError):
    """The command or query raised `Reject(value)`, before it changed anything. `value`: what it gave."""

    def __init__(self, value: Any = None, /, **facts: Any) -> None:
        super().__init__(str(value), **facts)
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), self.value, **self.facts), ()
