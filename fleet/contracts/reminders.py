"""What has changed for reminders that are set, and wait with arguments of before."""

from collections.abc import Iterator

from fleet.contracts.calls import changed_parameters
from fleet.contracts.contract import ClassContract
from fleet.contracts.difference import STATES, Difference


def changed_reminders(old: ClassContract, new: ClassContract) -> Iterator[Difference]:
    for name, was in old.reminders.items():
        label = f"reminder {name}"
        now = new.reminders.get(name)
        if now is None:
            what = "it was removed; those that are set fail when they are due"
            yield Difference(label, what, STATES, "keep it until none is set any more")
            continue
        for change in changed_parameters(label, was, now):
            if change.breaks:
                remedy = "set others under a new name, and keep this one until none is set any more"
                yield Difference(label, f"{change.what}; those that are set fail", STATES, remedy)
            else:
                yield change
    for name in sorted(new.reminders.keys() - old.reminders.keys()):
        yield Difference(f"reminder {name}", "it is new")
