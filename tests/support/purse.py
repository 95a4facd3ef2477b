"""A class whose state shows all that a command reads besides its arguments."""

from typing import Any

import fleet


class Purse(fleet.Data):
    balance: int = 0
    luck: float = 0.0
    at: float = 0.0
    who: str = ""
    revision: int = 0

    @fleet.command
    def put(self, n: int) -> dict[str, Any]:
        """Returns what the object is like afterwards."""
        if n == 13:
            raise fleet.Reject("never 13")
        self.balance += n
        if n == 14:
            raise ValueError("half done")
        self.luck, self.at, self.who = fleet.ctx.random.random(), fleet.ctx.now, fleet.ctx.client
        self.revision = fleet.ctx.index
        return dict(vars(self))

    @fleet.query
    def look(self) -> dict[str, Any]:
        return dict(vars(self))
