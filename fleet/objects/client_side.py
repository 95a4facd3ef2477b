"""Methods of a data class that run at the caller, between its commands and queries."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from fleet.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__fleet_client_side__"


def client_side(function: F) -> F:
    """Mark a method that a handle has, too. It runs where it is called, with the handle as `self`: it may
    call commands and queries, wait, and read the clock. Members never run it.

    Raises: ConfigError: not a plain function.
    """
    if not inspect.isfunction(function):
        raise ConfigError(f"@fleet.client_side goes on a plain method, not on {function!r}")
    setattr(function, _MARK, True)
    return function


def is_client_side(method: Any) -> bool:
    return getattr(method, _MARK, False) is True
