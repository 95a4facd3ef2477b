"""What has changed between two contracts of a class, what that breaks, and what to do."""

from collections.abc import Iterator, Mapping

from fleet.contracts.annotations import accepts
from fleet.contracts.calls import changed_calls
from fleet.contracts.contract import BY_PLACE, ClassContract, FieldContract, TypeContract
from fleet.contracts.difference import CALLERS, NOTHING, STATES, Difference
from fleet.contracts.reminders import changed_reminders


def changes(old: ClassContract, new: ClassContract) -> list[Difference]:
    """Breaking ones first."""
    found = [*_changed_class(old, new), *changed_calls(old, new), *_changed_state(old, new)]
    found += [*_changed_types(old, new), *changed_reminders(old, new)]
    if old.fingerprint != new.fingerprint and not found:
        found.append(Difference("", "other code, with the same signatures and fields"))
    return sorted(found, key=lambda change: not change.breaks)


def removed(name: str, why: str) -> list[Difference]:
    """Of a class that cannot be loaded any more."""
    remedy = f"bring it back, or when its groups are gone: `fleet contracts update --drop {name}`"
    return [Difference("", why, CALLERS, remedy)]


def _changed_class(old: ClassContract, new: ClassContract) -> Iterator[Difference]:
    if new.version < old.version:
        what = f"version {new.version}, was {old.version}: states of version {old.version} cannot be loaded"
        yield Difference("", what, STATES, f"make it {old.version}, or higher with migrate")
    elif new.version > old.version and not new.migrates:
        what = f"version {new.version}, was {old.version}, without migrate: old states are taken as they are"
        yield Difference("", what, STATES, f"define migrate, or leave version={old.version}")
    elif new.version > old.version:
        yield Difference("", f"version {new.version}, was {old.version}, with migrate")
    if new.codec != old.codec:
        what = f"codec {new.codec}, was {old.codec}: it reads neither the calls nor the states of before"
        yield Difference("", what, STATES, f"keep codec={old.codec!r}")


# -- states -----------------------------------------------------------------------------------------------


def _changed_state(old: ClassContract, new: ClassContract) -> Iterator[Difference]:
    for change in _changed_fields("", old.state, new.state):
        yield _for_states(change, old, new)


def _for_states(change: Difference, old: ClassContract, new: ClassContract) -> Difference:
    """It breaks states, unless they are migrated."""
    if not change.breaks:
        return change
    if new.version > old.version and new.migrates:
        return Difference(change.where, f"{change.what}; migrate has to see to it")
    return Difference(
        change.where, change.what, STATES, f"{change.remedy}, or raise version and define migrate"
    )


def _changed_fields(
    where: str, old: Mapping[str, FieldContract], new: Mapping[str, FieldContract]
) -> Iterator[Difference]:
    """Those that break something have a first remedy."""
    added = {name: new[name] for name in new if name not in old}
    for name, field in old.items():
        label = f"{where}.{name}" if where else name
        if name not in new:
            yield _removed_field(label, field, added)
        elif not accepts(new[name].annotation, field.annotation):
            what = f"the field is {new[name].annotation or 'not annotated'}, was {field.annotation}"
            yield Difference(label, what, STATES, "accept what is stored")
        elif new[name].annotation != field.annotation:
            yield Difference(
                label, f"the field is {new[name].annotation or 'not annotated'}, was {field.annotation}"
            )
    for name, field in added.items():
        label = f"{where}.{name}" if where else name
        if field.filled:
            yield Difference(label, "the field is new; where it is not stored it has its default")
        else:
            what = "the field is new, and what is stored lacks it"
            yield Difference(label, what, STATES, "annotate it and give it a default in the class")


def _removed_field(label: str, field: FieldContract, added: Mapping[str, FieldContract]) -> Difference:
    same = [name for name, one in added.items() if one.annotation == field.annotation]
    if len(same) == 1:
        what = f"the field was renamed to {same[0]}, it seems; what is stored under the old name is not found"
        return Difference(label, what, STATES, "call it as before")
    return Difference(label, "the field was removed; what is stored in it is lost", STATES, "keep it")


# -- types in fields and arguments ------------------------------------------------------------------------


def _changed_types(old: ClassContract, new: ClassContract) -> Iterator[Difference]:
    for name, was in old.types.items():
        now = new.types.get(name)
        if now is not None:
            for change in _changed_type(name.partition(":")[2], was, now):
                if was.in_state:
                    yield _for_states(change, old, new)
                if was.in_calls and change.breaks:
                    remedy = f"{change.remedy}, or take another type in a method of another name"
                    yield Difference(change.where, change.what, CALLERS, remedy)
                elif not was.in_state:
                    yield change


def _changed_type(where: str, old: TypeContract, new: TypeContract) -> Iterator[Difference]:
    yield from _changed_fields(where, old.fields, new.fields)
    order = list(old.fields)
    if new.stored != old.stored:
        what = f"it is stored {new.stored}, was {old.stored}"
        yield Difference(where, what, STATES, "keep slots, frozen and its base as they were")
    elif new.stored == BY_PLACE and old.fields.keys() <= new.fields.keys():
        if list(new.fields)[: len(order)] != order:
            what = "its fields are in another order, and it is stored as its values in order"
            yield Difference(where, what, STATES, "put the fields back, new ones last")
    for name, value in old.members.items():
        if name not in new.members and value not in new.members.values():
            yield Difference(f"{where}.{name}", f"the member, {value}, was removed", STATES, "keep it")
        elif name not in new.members:
            yield Difference(f"{where}.{name}", "the member was renamed, and is stored by its value")
        elif new.members[name] != value:
            what = f"the member is {new.members[name]}, was {value}, which is what is stored"
            yield Difference(f"{where}.{name}", what, STATES, "give it its value back")
    for name in new.members.keys() - old.members.keys():
        if new.members[name] not in old.members.values():
            yield Difference(f"{where}.{name}", "the member is new", NOTHING)
