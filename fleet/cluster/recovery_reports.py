"""What is in the data directory of a stopped node, as a report that travels between hosts as JSON."""

from msgspec import Struct

from fleet.raft.ids import Index, MemberId, NodeName, Term


class MemberReport(Struct, frozen=True):
    """A member of a group in a data directory."""

    group: str
    uid: int
    """Of the group; 0 for the cluster group."""
    number: int
    """In the node's store."""
    member: MemberId
    term: Term = 0
    last_index: Index = 0
    commit: Index = 0
    """The highest index that it knows to be committed."""
    snapshot_index: Index = 0
    terms: tuple[tuple[Index, Term], ...] = ()
    """Where each term of the log begins. The first index is the one before the log's first entry."""
    voters: tuple[MemberId, ...] = ()
    learners: tuple[MemberId, ...] = ()
    addresses: dict[MemberId, str] = {}
    trouble: str = ""
    """Why it cannot run: its records are damaged, or it was halted."""
    is_in_memory: bool = False
    """It kept nothing here, and was lost when the node stopped."""

    @property
    def last_term(self) -> Term:
        return self.terms[-1][1] if self.terms else 0

    @property
    def holds_data(self) -> bool:
        return not self.trouble and self.last_index > 0

    def term_at(self, index: Index) -> Term | None:
        """None for an index that its log does not hold."""
        if not self.terms or not self.terms[0][0] <= index <= self.last_index:
            return None
        return max(term for first, term in self.terms if first <= index)

    def agrees_until(self, other: "MemberReport") -> Index:
        """The highest index up to which both logs are the same: logs that agree there agree on all before.

        0 if their logs have no index in common: then one may still be the beginning of the other.
        """
        ends = {first - 1 for log in (self, other) for first, _ in log.terms}
        ends |= {first for log in (self, other) for first, _ in log.terms}
        ends |= {self.last_index, other.last_index}
        for index in sorted(ends, reverse=True):
            mine = self.term_at(index)
            if mine is not None and mine == other.term_at(index):
                return index
        return 0


class NodeReport(Struct, frozen=True):
    """The directory of one node. The nodes and groups are those of the cluster's state here."""

    node: NodeName
    incarnation: str
    cluster: str
    """The cluster's name."""
    uid: str
    """The cluster's uid as people see it; "": the node never joined one."""
    members: tuple[MemberReport, ...] = ()
    nodes: dict[NodeName, str] = {}
    """Addresses, by name."""
    disks: dict[NodeName, str] = {}
    """Incarnations, by name."""
    groups: dict[str, int] = {}
    """Uids, by name."""
    removed: tuple[int, ...] = ()
    """The uids of groups whose removal is under way."""
    salt: int = 0
    """Of the cluster group's sessions."""
    damage: tuple[str, ...] = ()
    """Of records of the node itself: it cannot start."""
    recoveries: tuple[str, ...] = ()
    """The ids of the recoveries that were applied to the directory, oldest first."""

    def member_of(self, group: str, uid: int) -> MemberReport | None:
        return next((one for one in self.members if (one.group, one.uid) == (group, uid)), None)
