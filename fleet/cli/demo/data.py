"""The object that `fleet demo` replicates: nodes import it from here."""

import fleet


class Counter(fleet.Data):
    """Each increment gets a number of its own: one lost or done twice leaves a gap or a repeat."""

    value: int = 0

    @fleet.command
    def add(self) -> int:
        self.value += 1
        return self.value

    @fleet.query
    def get(self) -> int:
        return self.value
