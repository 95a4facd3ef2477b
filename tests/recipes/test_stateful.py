"""hypothesis uses recipes on a simulated fleet, under faults, and knows what each call has to answer."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st

import fleet
from fleet.recipes import KV, Locks
from fleet.testing import DataMachine, Faults, rule

FEW = settings(max_examples=6, stateful_step_count=12, deadline=None, derandomize=True)
KEYS = st.sampled_from("ab")


class KVModel(DataMachine[KV]):
    nodes = 3
    faults = Faults.all(weight=0.2)

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, tuple[int, int]] = {}
        """Value and revision."""
        self.last = 0

    def put(self, key: str, value: int, revision: int | None) -> None:
        assert revision is not None and revision > self.last
        self.known[key] = (value, revision)
        self.last = revision

    @rule(key=KEYS, value=st.integers(0, 9))
    def set(self, key: str, value: int) -> None:
        self.put(key, value, self.group.put(key, value))

    @rule(key=KEYS, value=st.integers(0, 9), is_right=st.booleans())
    def compare_and_set(self, key: str, value: int, is_right: bool) -> None:
        had = self.known.get(key, (0, 0))[1]
        done = self.group.compare_and_set(key, had if is_right else had + 1, value)
        if is_right:
            self.put(key, value, done)
        else:
            assert done is None

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.group.delete(key) is (key in self.known)
        self.known.pop(key, None)

    @rule(key=KEYS)
    def look(self, key: str) -> None:
        assert self.group.entry(key) == (*self.known.get(key, (None, 0)), False)

    def finally_(self) -> None:
        assert self.group.keys() == sorted(self.known)


class LocksModel(DataMachine[Locks]):
    """Nothing is over before the end."""

    nodes = 3
    faults = Faults.only("kill", "transfer", "restart", weight=0.2)

    def __init__(self) -> None:
        super().__init__()
        self.tokens: dict[str, tuple[str, int]] = {}
        """By name, who holds it, for an hour."""
        self.last = 0

    @rule(name=KEYS, owner=st.sampled_from("xyz"))
    def acquire(self, name: str, owner: str) -> None:
        token, over_in = self.group.acquire(name, owner, 3_600.0)
        holder = self.tokens.get(name)
        if holder is None:
            assert token > self.last
            self.tokens[name], self.last = (owner, token), token
        elif holder[0] == owner:
            assert token == holder[1]
        else:
            assert token == 0 and 0 < over_in <= 3_600

    @rule(name=KEYS, is_right=st.booleans())
    def release(self, name: str, is_right: bool) -> None:
        token = self.tokens.get(name, ("", 0))[1]
        if token and is_right:
            self.group.release(name, token)
            del self.tokens[name]
        else:
            with pytest.raises(fleet.Rejected, match="is not held"):
                self.group.release(name, token + 1)

    def finally_(self) -> None:
        for name in "ab":
            assert self.group.count(name) == (name in self.tokens)


TestKV = KVModel.TestCase
TestKV.settings = FEW
TestLocks = LocksModel.TestCase
TestLocks.settings = FEW
