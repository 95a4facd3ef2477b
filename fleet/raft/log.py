"""A member's log in memory, and how far it is committed, applied and durable."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fleet.raft.entries import Entry, count_of, size_of, wall_ms_of
from fleet.raft.ids import Index, Millis, Term


@dataclass(slots=True)
class Log:
    """Entries after `base_index`; a snapshot holds those up to it.

    Invariants: base <= applied <= commit <= last; durable <= last; entries are contiguous and their
    terms never fall. `(term, index)` names an entry: two logs that agree there agree on all before.
    """

    base_index: Index = 0
    base_term: Term = 0
    entries: list[Entry] = field(default_factory=list)
    commit: Index = 0
    applied: Index = 0
    durable: Index = 0

    @property
    def last_index(self) -> Index:
        return self.base_index + len(self.entries)

    @property
    def last_term(self) -> Term:
        return self.entries[-1].term if self.entries else self.base_term

    def term_at(self, index: Index) -> Term | None:
        """None for a position that this log does not know: a real term is never mistaken for it (S02)."""
        offset = index - self.base_index
        if offset == 0:
            return self.base_term
        return self.entries[offset - 1].term if 0 < offset <= len(self.entries) else None

    def slice(self, first: Index, last: Index) -> list[Entry]:
        """Entries first..last, both included; all must be held."""
        assert self.base_index < first, f"{first} is compacted, base {self.base_index}"
        return self.entries[first - self.base_index - 1 : last - self.base_index]

    def batch(self, first: Index, count_max: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from `first` on, within the limits; at least one if there is one."""
        start = first - self.base_index - 1
        assert start >= 0, f"{first} is compacted, base {self.base_index}"
        chosen = self.entries[start : start + count_max]
        if len(chosen) < 2:
            return tuple(chosen)
        total = 0
        for count, entry in enumerate(chosen):
            total += size_of(entry)
            if total > bytes_max and count:
                return tuple(chosen[:count])
        return tuple(chosen)

    def is_behind(self, last_index: Index, last_term: Term) -> bool:
        """Whether another log is at least as complete as this one (Raft 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def append(self, entry: Entry) -> None:
        entries = self.entries
        last_index, last_term = (
            self.base_index + len(entries),
            entries[-1].term if entries else self.base_term,
        )
        assert entry.index == last_index + 1, f"hole: {entry.index} after {last_index}"
        assert entry.term >= last_term, f"term falls from {last_term} to {entry.term}"
        entries.append(entry)

    def merge(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Adopt a leader's entries; returns those that are new and must be made durable.

        Entries that are here already are kept, and so are those after them (a short late append, S07); the
        suffix from the first conflicting entry is deleted (Raft 5.3).
        """
        for position, entry in enumerate(entries):
            mine = self.term_at(entry.index)
            if mine == entry.term:
                continue
            if mine is not None:
                self._truncate(entry.index)
            new = tuple(entries[position:])
            for fresh in new:
                self.append(fresh)
            return new
        return ()

    def _truncate(self, index: Index) -> None:
        assert index > self.commit, f"a leader overwrites committed {index}, commit {self.commit}"
        del self.entries[index - self.base_index - 1 :]
        self.durable = min(self.durable, index - 1)

    def highest_match(self, index: Index, term: Term) -> Index:
        """The highest position up to `index` whose term is at most `term`.

        Another log that has `term` at `index` cannot agree with this one above it: a whole term is
        skipped in one round trip (Raft 5.3, last paragraph).
        """
        index = min(index, self.last_index)
        while index > self.base_index and self.entries[index - self.base_index - 1].term > term:
            index -= 1
        return index

    def commit_to(self, index: Index) -> bool:
        if index <= self.commit:
            return False
        assert index <= self.last_index, f"commit {index} beyond {self.last_index}"
        self.commit = index
        return True

    def mark_durable(self, index: Index, term: Term) -> None:
        """A write that ended with this entry is on disk. The completion is ignored if another entry stands
        there now (ABA)."""
        if self.term_at(index) == term:
            self.durable = max(self.durable, index)

    def take_committed(self, commands_max: int, last: Index) -> list[Entry]:
        """The next committed entries up to `last`, at least one, with at most so many commands; they count as
        applied from now on."""
        taken: list[Entry] = []
        count, last = 0, min(last, self.commit)
        committed = self.entries[self.applied - self.base_index : last - self.base_index]
        if len(committed) == 1:
            self.applied = last
            return committed
        for entry in committed:
            count += count_of(entry.body)
            if count > commands_max and taken:
                break
            taken.append(entry)
        self.applied += len(taken)
        return taken

    def bytes_after(self, index: Index) -> int:
        return sum(map(size_of, self.entries[max(0, index - self.base_index) :]))

    def before_tail(self, index: Index, count_max: int, bytes_max: int) -> Index:
        """Where to cut the log so that at most so many entries and bytes up to `index` stay."""
        first = max(self.base_index, index - count_max)
        while index > first:
            bytes_max -= size_of(self.entries[index - self.base_index - 1])
            if bytes_max < 0:
                break
            index -= 1
        return index

    def time_at(self, index: Index) -> Millis:
        """The leader's wall clock as of the newest entry up to `index` that has it; 0: none is here."""
        held = reversed(self.entries[: index - self.base_index])
        return next((wall_ms for entry in held if (wall_ms := wall_ms_of(entry.body))), 0)

    def compact(self, index: Index) -> None:
        """Forget entries up to `index`: a durable snapshot stands for them."""
        assert index <= self.applied, f"compacting {index}, applied {self.applied}"
        if index <= self.base_index:
            return
        term = self.term_at(index)
        assert term is not None
        del self.entries[: index - self.base_index]
        self.base_index, self.base_term = index, term

    def reset(self, index: Index, term: Term) -> None:
        """A snapshot from the leader replaces everything."""
        assert index > self.commit, f"snapshot {index} behind commit {self.commit}"
        self.entries.clear()
        self.base_index, self.base_term = index, term
        self.commit = self.applied = index
        self.durable = 0
