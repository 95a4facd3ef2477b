"""Creates actor objects from the arguments of createActor, by Thespian's rules."""

import importlib
import inspect
from functools import lru_cache
from typing import Any

from thespian.actors import InvalidActorSpecification


def actor_class(spec: Any) -> Any:
    """The class itself, or the one that "package.module.Class" names.

    Raises:
        InvalidActorSpecification: a name without a module, or a module without that class.
        ImportError: no such module.
    """
    if not isinstance(spec, str):
        return spec
    module_name, _, class_name = spec.rpartition(".")
    if not module_name:
        raise InvalidActorSpecification(spec, "a name must be qualified by its module")
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except AttributeError:
        raise InvalidActorSpecification(spec, f"no {class_name} in {module_name}") from None


@lru_cache(maxsize=1024)
def _wanted_arguments(cls: Any) -> tuple[str, ...]:
    """Which of Thespian's optional arguments the constructor takes. Cached: inspecting costs more than
    creating."""
    try:
        names = inspect.signature(cls.__init__).parameters
    except (TypeError, ValueError):
        return ()
    return tuple(name for name in ("capabilities", "requirements") if name in names)


def instantiate(cls: Any, capabilities: dict[str, Any], requirements: Any) -> Any:
    """A new actor object, not yet bound to a system."""
    wanted = _wanted_arguments(cls)
    if not wanted:
        instance = cls()
    else:
        given = {"capabilities": capabilities, "requirements": requirements}
        instance = cls(**{name: given[name] for name in wanted})
    if hasattr(cls, "_post_init_pending"):
        # initializing_messages keeps waiting messages in a list on the class, which only works while
        # every actor has a process of its own.
        instance._post_init_pending = []
    return instance


def is_capable(cls: Any, capabilities: dict[str, Any], requirements: Any) -> bool:
    """The result of the class's actorSystemCapabilityCheck: True without one, False if it raises."""
    check = getattr(cls, "actorSystemCapabilityCheck", None)
    if check is None:
        return True
    try:
        return bool(check(capabilities, requirements or {}))
    except Exception:
        return False
