"""What the type variables of a generic data class stand for: in `JobQueue[Email]`, and in its subclasses."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin


def class_of(data_class: Any) -> Any:
    """`JobQueue` of `JobQueue[Email]`; anything else as it is."""
    return get_origin(data_class) or data_class


def type_arguments(data_class: Any, base: type) -> dict[Any, Any]:
    """By the type variables of `base`, a base of this class. Those of which nothing is said are missing."""
    cls = class_of(data_class)
    given = dict(zip(getattr(cls, "__parameters__", ()), get_args(data_class), strict=False))
    if cls is base:
        return given
    for parent in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin = class_of(parent)
        if isinstance(origin, type) and issubclass(origin, base):
            return type_arguments(substituted(parent, given), base)
    return {}


def substituted(annotation: Any, given: Mapping[Any, Any]) -> Any:
    """The annotation with these in place of its type variables."""
    if isinstance(annotation, TypeVar):
        return given.get(annotation, annotation)
    free = () if isinstance(annotation, type) else getattr(annotation, "__parameters__", ())
    if not given or not free:
        return annotation
    return annotation[tuple(given.get(one, one) for one in free)]
