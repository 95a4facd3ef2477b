"""What has changed for those who call a class."""

from collections.abc import Iterator, Mapping

from fleet.contracts.annotations import accepts
from fleet.contracts.contract import ClassContract, MethodContract, ParameterContract
from fleet.contracts.difference import CALLERS, Difference

_KEEP = "keep it for callers of before, and add a method of another name"
_PLACES = ("positional-only", "positional or keyword")
_NAMED = ("positional or keyword", "keyword-only")
_MORE = ("variadic positional", "variadic keyword")


def changed_calls(old: ClassContract, new: ClassContract) -> Iterator[Difference]:
    before, after = _methods(old), _methods(new)
    for name, (kind, method) in before.items():
        if name not in after:
            yield _removed(name, kind, method, {one: after[one] for one in after.keys() - before.keys()})
        elif after[name][0] != kind:
            yield Difference(name, f"was a {kind} and is a {after[name][0]}", CALLERS, _KEEP)
        else:
            yield from _changed_method(name, method, after[name][1])
    for name in sorted(after.keys() - before.keys()):
        yield Difference(name, f"is a new {after[name][0]}")


def _methods(contract: ClassContract) -> dict[str, tuple[str, MethodContract]]:
    found = {name: ("command", method) for name, method in contract.commands.items()}
    return found | {name: ("query", method) for name, method in contract.queries.items()}


def _removed(
    name: str, kind: str, method: MethodContract, added: Mapping[str, tuple[str, MethodContract]]
) -> Difference:
    same = sorted(one for one, found in added.items() if found == (kind, method))
    if same:
        return Difference(
            name,
            f"the {kind} was renamed to {same[0]}",
            CALLERS,
            f"keep {name} as well, for callers of before",
        )
    return Difference(
        name, f"the {kind} was removed", CALLERS, "keep it until no caller uses it, then update"
    )


def changed_parameters(name: str, old: MethodContract, new: MethodContract) -> Iterator[Difference]:
    found = list(_changed_parameters(name, old, new))
    yield from found
    if not any(change.breaks for change in found) and _moved(old, new):
        yield Difference(name, "its parameters are in other places", CALLERS, "put them back, new ones last")


def _changed_method(name: str, old: MethodContract, new: MethodContract) -> Iterator[Difference]:
    yield from changed_parameters(name, old, new)
    if not accepts(old.returns, new.returns):
        yield _changed_result(name, old.returns, new.returns)
    elif old.returns != new.returns:
        yield Difference(name, f"returns {_shown(new.returns)}, was {_shown(old.returns)}")


def _changed_parameters(name: str, old: MethodContract, new: MethodContract) -> Iterator[Difference]:
    before = {one.name: one for one in old.parameters}
    after = {one.name: one for one in new.parameters}
    renamed = dict(_renamed(old, new))
    for parameter in old.parameters:
        label = parameter.name
        if label in renamed:
            yield from _renamed_parameter(name, parameter, renamed[label])
        elif label not in after:
            what = f"the parameter {_said(parameter)} was removed"
            yield Difference(name, what, CALLERS, "keep it, and ignore it")
        else:
            yield from _changed_parameter(name, parameter, after[label])
    for parameter in new.parameters:
        if parameter.name not in before and parameter not in renamed.values():
            yield _added_parameter(name, parameter, old, new)


def _moved(old: MethodContract, new: MethodContract) -> bool:
    """Whether a parameter that was given by place has another one."""
    before, after = _places(old), _places(new)
    return any(name in after and after.index(name) != place for place, name in enumerate(before))


def _places(method: MethodContract) -> list[str]:
    return [one.name for one in method.parameters if one.kind in _PLACES]


def _renamed(old: MethodContract, new: MethodContract) -> Iterator[tuple[str, ParameterContract]]:
    """Parameters of another name in the same place, with the same annotation."""
    names = {one.name for one in old.parameters} & {one.name for one in new.parameters}
    for was, now in zip(old.parameters, new.parameters):
        if was.name not in names and now.name not in names:
            if (was.kind, was.annotation) == (now.kind, now.annotation):
                yield was.name, now


def _renamed_parameter(name: str, old: ParameterContract, new: ParameterContract) -> Iterator[Difference]:
    if old.kind in _NAMED:
        what = f"the parameter {old.name} was renamed to {new.name}, and callers may use the name"
        yield Difference(name, what, CALLERS, f"call it {old.name} again")
    else:
        yield Difference(name, f"the parameter {_said(old)} was renamed to {_said(new)}")
    yield from _changed_default(name, old, new)


def _changed_parameter(name: str, old: ParameterContract, new: ParameterContract) -> Iterator[Difference]:
    is_lost = any(old.kind in kinds and new.kind not in kinds for kinds in (_PLACES, _NAMED))
    if is_lost:
        what = f"the parameter {old.name} was {old.kind} and is {new.kind}"
        yield Difference(name, what, CALLERS, f"make it {old.kind} again")
    elif old.kind != new.kind:
        yield Difference(name, f"the parameter {old.name} is {new.kind}, was {old.kind}")
    yield from _changed_default(name, old, new)
    if old.annotation == new.annotation:
        return
    what = f"the parameter {old.name} is {_shown(new.annotation)}, was {_shown(old.annotation)}"
    if accepts(new.annotation, old.annotation):
        yield Difference(name, what)
    else:
        word = "narrower" if accepts(old.annotation, new.annotation) else "another one"
        remedy = f"accept what was accepted, or {_KEEP}"
        yield Difference(name, f"{what}: {word}", CALLERS, remedy)


def _changed_default(name: str, old: ParameterContract, new: ParameterContract) -> Iterator[Difference]:
    if old.default and not new.default:
        yield Difference(
            name, f"the parameter {new.name} has no default any more", CALLERS, "give it a default"
        )
    elif new.default and not old.default:
        yield Difference(name, f"the parameter {new.name} has a default now")


def _added_parameter(
    name: str, parameter: ParameterContract, old: MethodContract, new: MethodContract
) -> Difference:
    what = f"the parameter {_said(parameter)} was added"
    if parameter.kind in _MORE:
        return Difference(name, what)
    if not parameter.default:
        return Difference(name, f"{what} without a default", CALLERS, "give it a default")
    place = new.parameters.index(parameter)
    if parameter.kind in _PLACES and any(one.name in _places(old) for one in new.parameters[place:]):
        return Difference(name, f"{what} before others, which move", CALLERS, "put it last")
    return Difference(name, f"{what}, with a default")


def _changed_result(name: str, old: str, new: str) -> Difference:
    what = f"returns {_shown(new)}, was {_shown(old)}"
    if not new:
        return Difference(name, what)
    word = "wider" if accepts(new, old) else "another one"
    return Difference(name, f"{what}: {word}", CALLERS, f"return what was returned, or {_KEEP}")


def _said(parameter: ParameterContract) -> str:
    stars = {"variadic positional": "*", "variadic keyword": "**"}.get(parameter.kind, "")
    return stars + parameter.name


def _shown(annotation: str) -> str:
    return annotation or "not annotated"
