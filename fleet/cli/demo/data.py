"""The data class of `fleet demo`; its nodes import this module."""

import fleet


class Counter(fleet.Data):
    """Each increment returns its own number, so that a lost or repeated one leaves a gap or a duplicate."""

    value: int = 0

    @fleet.command
    def add(self) -> int:
        self.value += 1
        return self.value

    @fleet.query
    def get(self) -> int:
        return self.value
