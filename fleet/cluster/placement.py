"""Where the replicas of a group belong: weighted rendezvous hashing, zone by zone, as a pure function.

Inside each zone nodes are ranked by score; all nodes are then sorted by (rank, score), the first
`replicas` are the members and the very first is the desired leader. So no zone holds two replicas while
another has a node and none, and the leader is the node with the lowest score of all.

    score(node, group) = -log2(1 - h / 2^64) / weight,   h = mix(key(node) xor key(group))

The lowest of exponentially distributed scores belongs to a node with a probability proportional to its
weight. Within its zone a node therefore gets its weight's share of first ranks, over the whole fleet its
weight's share of leaders; how many replicas a *zone* gets is the zone rule's matter, not that of weights.

What moves, exactly, for any zones and weights. Let S be a group's members before and T after node x came,
both of size n:
    T = S, or T = S + {x} - {one other}.     No member moves between two nodes that stayed.
Removing x is the same read backwards; raising x's weight is like adding x, lowering it like removing it.
Why: x pushes back only nodes of its own zone, each by one rank. So the zone's r-th key does not grow, while
its new key at rank r + 1 is greater than the old one at r; the zone's count among the first n grows by one
at most, and only if x is among them. The members that move are thus those which x holds afterwards: any
algorithm that gives x this share moves as many. The desired leader changes only to x (or from it). And T
is found among S + {x}, which makes `gained` cheap. tests/cluster/test_placement.py tries it.

The same answer in every process, on every platform and version: names are hashed by blake2b over UTF-8,
everything after that is integer arithmetic. No float is computed with: a weight enters as the exact ratio
of integers that it is. The logarithm is a table of chords, off by less than 0.05 % and never decreasing in
h; ties go by h, then by name. So nodes of equal weight order by h alone, and only the best of each weight
in each zone need a logarithm, or none if all weights are equal.

Cost: one blake2b per node and per group; the mixer (splitmix64's) runs over all nodes at once in one long
integer, a lane of 128 bits for each. `python -m tests.benchmarks placement` has the figures.
"""

import math
import sys
from array import array
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from typing import TypeAlias

from msgspec import Struct

from fleet.errors import BadArguments
from fleet.raft.ids import GroupName, NodeName

Members: TypeAlias = tuple[NodeName, ...]
Score: TypeAlias = tuple[int, int, NodeName]
"""Lower is better. (-log2 scaled by the weight, the hash itself, the name): a total order."""

WORD = (1 << 64) - 1
LANE_BITS = 128
FEW = 8
"""Up to so many, asking again for the lowest is quicker than sorting."""
CHORDS_LOG2 = 10
FRACTION_BITS = 40


class Site(Struct, frozen=True):
    """A node that may hold members. Weight 2 takes twice what weight 1 takes; weight 0 takes nothing."""

    name: NodeName
    zone: str
    weight: float = 1.0


def members_for(group: GroupName, sites: Iterable[Site], replicas: int) -> Members:
    """The group's members, desired leader first; fewer than `replicas` if there are fewer nodes.

    For many groups make one `Placement`: this one hashes every node anew.
    """
    return Placement(sites).members(group, replicas)


class Placement:
    """Fixed sites, ready to place any number of groups. Immutable; about 600 bytes a site.

    Raises:
        BadArguments: a name twice, an empty name, or a weight that is negative or not finite.
    """

    def __init__(self, sites: Iterable[Site]) -> None:
        by_name = checked(sites)
        self.sites = by_name
        hosts = sorted((s for s in by_name.values() if s.weight), key=lambda s: (s.zone, s.weight, s.name))
        self._names = [site.name for site in hosts]
        self._keys = {site.name: node_key(site.name) for site in hosts}
        self._runs = runs_of(hosts)
        self._zones = [runs[-1][1] - runs[0][0] for runs in self._runs]
        self._weights = {site.name: site.weight.as_integer_ratio() for site in hosts}
        self._uniform = len({site.weight for site in hosts}) <= 1
        size = LANE_BITS // 8
        lanes = b"".join(self._keys[name].to_bytes(size, "little") for name in self._names)
        self._lanes = int.from_bytes(lanes, "little")
        self._ones = int.from_bytes((1).to_bytes(size, "little") * len(hosts), "little")
        self._low = self._ones * WORD

    def members(self, group: GroupName, replicas: int) -> Members:
        """The group's members, desired leader first; fewer than `replicas` if there are fewer nodes."""
        if replicas < 1:
            raise BadArguments("a group has at least one replica", replicas=replicas, group=group)
        hashes = self._hashes(group_key(group))
        depth = self._depth(replicas)
        zones = [self._best(hashes, runs, depth) for runs in self._runs]
        return first(zones, replicas)

    def place(self, groups: Mapping[GroupName, int]) -> dict[GroupName, Members]:
        """Members of every group, from its number of replicas."""
        return {group: self.members(group, replicas) for group, replicas in groups.items()}

    def with_site(self, site: Site) -> "Placement":
        return Placement((*self.sites.values(), site))

    def without(self, name: NodeName) -> "Placement":
        if name not in self.sites:
            raise BadArguments("no such node to leave out", node=name)
        return Placement(site for site in self.sites.values() if site.name != name)

    def gained(
        self, name: NodeName, groups: Mapping[GroupName, int], placed: Mapping[GroupName, Members]
    ) -> dict[GroupName, Members]:
        """The groups that change because node `name` came, and their members now.

        `self` has the node, `placed` is what `place(groups)` gave without it (or with less weight for
        it). By the law above the new members are found among the old ones and the newcomer: the cost
        of a group does not depend on the number of nodes.
        """
        newcomer = self.sites.get(name)
        if newcomer is None:
            raise BadArguments("the newcomer is not among the sites", node=name)
        if not newcomer.weight:
            return {}
        changed = {}
        for group, replicas in groups.items():
            before = placed[group]
            if name in before:
                continue
            after = self._among(group_key(group), (*before, name), replicas)
            if name in after:
                changed[group] = after
        return changed

    def lost(
        self, name: NodeName, groups: Mapping[GroupName, int], placed: Mapping[GroupName, Members]
    ) -> dict[GroupName, Members]:
        """The groups that change because node `name` went, and their members now.

        `self` is without the node, `placed` what `place(groups)` gave with it. Only the groups that
        it held are placed anew; a lower weight is not a loss: place those groups by `members`.
        """
        if name in self.sites:
            raise BadArguments("the node is still among the sites", node=name)
        return {g: self.members(g, n) for g, n in groups.items() if name in placed[g]}

    def _hashes(self, key: int) -> list[int]:
        """mix(node xor group) for all nodes, in the order of `_names`."""
        low = self._low
        x = self._lanes ^ (self._ones * key)
        x = ((x ^ ((x >> 30) & low)) * 0xBF58476D1CE4E5B9) & low
        x = ((x ^ ((x >> 27) & low)) * 0x94D049BB133111EB) & low
        x ^= (x >> 31) & low
        words = array("Q", x.to_bytes(len(self._names) * LANE_BITS // 8, "little"))
        if sys.byteorder == "big":
            words.byteswap()
        return words[:: LANE_BITS // 64].tolist()

    def _depth(self, replicas: int) -> int:
        """How many of a zone's best can be needed: rank by rank until there are enough."""
        depth = 0
        while replicas > 0 and any(size > depth for size in self._zones):
            replicas -= sum(size > depth for size in self._zones)
            depth += 1
        return depth

    def _best(self, hashes: list[int], runs: list[tuple[int, int]], depth: int) -> list[Score]:
        """The zone's first `depth` nodes in order. A run is the nodes of one weight, ordered by name."""
        best: list[Score] = []
        for start, end in runs:
            run = hashes[start:end]
            if depth > FEW:
                order = sorted(range(len(run)), key=run.__getitem__)[:depth]
                best.extend(self._score(run[at], self._names[start + at]) for at in order)
                continue
            for _ in range(min(depth, len(run))):
                h = min(run)
                at = run.index(h)  # the first of equals, which is the smallest name
                best.append(self._score(h, self._names[start + at]))
                run[at] = WORD + 1
        if len(runs) > 1:
            best.sort()
        return best[:depth]

    def _score(self, h: int, name: NodeName) -> Score:
        if self._uniform:
            return (0, h, name)
        numerator, denominator = self._weights[name]
        return ((minus_log2(h) << FRACTION_BITS) * denominator // numerator, h, name)

    def _among(self, key: int, names: Members, replicas: int) -> Members:
        """The members if these were all the nodes there are."""
        zones: dict[str, list[Score]] = {}
        for name in names:
            score = self._score(mix(self._keys[name] ^ key), name)
            zones.setdefault(self.sites[name].zone, []).append(score)
        for zone in zones.values():
            zone.sort()
        return first(list(zones.values()), replicas)


def checked(sites: Iterable[Site]) -> dict[NodeName, Site]:
    by_name: dict[NodeName, Site] = {}
    for site in sites:
        if not site.name:
            raise BadArguments("a node has a name that is not empty", zone=site.zone)
        if site.name in by_name:
            raise BadArguments("two nodes of one name", node=site.name)
        if not (math.isfinite(site.weight) and site.weight >= 0):
            raise BadArguments("a weight is finite and not negative", node=site.name, weight=site.weight)
        by_name[site.name] = site
    return by_name


def runs_of(hosts: list[Site]) -> list[list[tuple[int, int]]]:
    """For each zone its runs [start, end) of equal weight, from sites sorted by zone and weight."""
    zones: dict[str, dict[float, tuple[int, int]]] = {}
    for at, site in enumerate(hosts):
        runs = zones.setdefault(site.zone, {})
        start = runs[site.weight][0] if site.weight in runs else at
        runs[site.weight] = (start, at + 1)
    return [list(runs.values()) for runs in zones.values()]


def first(zones: list[list[Score]], replicas: int) -> Members:
    """The first by (rank, score), from each zone's nodes in order."""
    members: list[NodeName] = []
    rank = 0
    while len(members) < replicas:
        row = sorted(zone[rank] for zone in zones if rank < len(zone))
        if not row:
            break
        members.extend(name for _, _, name in row[: replicas - len(members)])
        rank += 1
    return tuple(members)


def node_key(name: NodeName) -> int:
    return digest(name, b"fleet.node")


def group_key(group: GroupName) -> int:
    return digest(group, b"fleet.group")


def digest(name: str, person: bytes) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8, person=person).digest(), "little")


def mix(x: int) -> int:
    """One lane of `_hashes`: the finalizer of splitmix64, a bijection of 64-bit words."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def minus_log2(h: int) -> int:
    """-log2((2^64 - h) / 2^64) in units of 2^-40: 0 for h = 0, never decreasing in h."""
    if h == 0:
        return 0
    rest = (1 << 64) - h
    exponent = rest.bit_length() - 1
    within = 63 - CHORDS_LOG2
    mantissa = (rest << (63 - exponent)) - (1 << 63)
    chord, offset = mantissa >> within, mantissa & ((1 << within) - 1)
    table = logs()
    log2 = table[chord] + ((table[chord + 1] - table[chord]) * offset >> within)
    return ((64 - exponent) << FRACTION_BITS) - log2


@cache
def logs() -> tuple[int, ...]:
    """log2(1 + i / 1024) in units of 2^-40, rounded down: one bit of the result for each squaring."""
    table = []
    for i in range(1 << CHORDS_LOG2):
        x = (1 << 63) + (i << (63 - CHORDS_LOG2))
        bits = 0
        for _ in range(FRACTION_BITS):
            x = x * x >> 63
            bits <<= 1
            if x >> 64:
                x >>= 1
                bits |= 1
        table.append(bits)
    return (*table, 1 << FRACTION_BITS)
