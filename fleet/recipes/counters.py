"""Counters: numbers by name."""

import fleet


class Counters(fleet.Data):
    """A counter that nobody has changed is 0, and takes no space."""

    values: dict[str, int] = {}

    @fleet.command
    def add(self, name: str, n: int = 1) -> int:
        """Returns the new value."""
        return self._set(name, self.values.get(name, 0) + n)

    @fleet.command
    def reset(self, name: str, value: int = 0) -> int:
        """Set it; returns what it was."""
        was = self.values.get(name, 0)
        self._set(name, value)
        return was

    @fleet.query
    def get(self, name: str) -> int:
        return self.values.get(name, 0)

    @fleet.query
    def names(self, prefix: str = "") -> list[str]:
        """Of the counters that are not 0, in order."""
        return sorted(name for name in self.values if name.startswith(prefix))

    def _set(self, name: str, value: int) -> int:
        self.values[name] = value
        if value == 0:
            del self.values[name]
        return value
