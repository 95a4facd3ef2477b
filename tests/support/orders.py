"""A data class whose hooks do something outside for each event."""

import os
from typing import Any

import fleet

DONE: list[tuple[str, str, Any]] = []
"""In this process: by which member, the effect's id, its value."""
FAILS: dict[str, int] = {}
"""How often an effect with this value still fails."""
FILE = "FLEET_TEST_EFFECTS"
"""The variable that names a file for what is done in a process of its own."""


class OrdersHooks(fleet.LeaderHooks["Orders"]):
    def on_effect(self, effect: fleet.Event) -> None:
        left = FAILS.get(str(effect.value), 0)
        if left:
            FAILS[str(effect.value)] = left - 1
            raise OSError("not now")
        DONE.append((self.member, effect.id, effect.value))
        if FILE in os.environ:
            with open(os.environ[FILE], "a") as file:
                file.write(f"{effect.id} {effect.value}\n")


class Orders(fleet.Data, hooks=OrdersHooks, events_kept=5):
    count: int = 0

    @fleet.command
    def order(self, *names: str) -> int:
        for name in names:
            fleet.ctx.emit("ordered", name)
        self.count += 1
        return self.count

    @fleet.command
    def fail(self, name: str) -> None:
        fleet.ctx.emit("ordered", name)
        raise ValueError(name)
