"""What `check` says of a class that does not pass."""

from collections.abc import Sequence
from typing import Any


class CheckFailed(AssertionError):
    """The class cannot be replicated; the message has the seed, the calls before, and how to repeat it."""


def report(cls: type[Any], again: str, what: str, more: Sequence[str], steps: Sequence[str]) -> str:
    """`again`: the call that repeats it."""
    lines = [f"{cls.__qualname__}: {what}", *(f"  {line}" for line in more)]
    if steps:
        lines += ["after", *(f"  {step}" for step in steps)]
    return "\n".join([*lines, again])
