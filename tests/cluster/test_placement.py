"""Where members belong: the zone rule, fair shares, and that nothing moves which need not."""

import hashlib
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.cluster.placement import Placement, Site, digest, members_for, minus_log2, mix
from fleet.errors import BadArguments, NotDone
from fleet.raft.ids import GroupName, NodeName

WEIGHTS = (0.0, 0.5, 1.0, 1.0, 1.0, 2.0, 3.7)


def site(name: str, zone: str, weight: float = 1.0) -> Site:
    return Site(NodeName(name), zone, weight)


def groups(count: int, replicas: int = 3) -> dict[GroupName, int]:
    return {GroupName(f"group-{n}"): replicas for n in range(count)}


def flat(zones: list[int]) -> list[Site]:
    return [site(f"n{z}-{n}", f"z{z}") for z, size in enumerate(zones) for n in range(size)]


@st.composite
def fleets(draw: st.DrawFn, weights: tuple[float, ...] = WEIGHTS) -> list[Site]:
    count = draw(st.integers(1, 14))
    tag = draw(st.integers(0, 1 << 40))
    return [
        site(f"{tag}-{n}", draw(st.sampled_from("abcd")), draw(st.sampled_from(weights)))
        for n in range(count)
    ]


def plain(group: str, sites: list[Site], replicas: int) -> tuple[NodeName, ...]:
    """The rule as it is told, with no shortcut: score all, rank in the zone, sort all."""
    scores = []
    for s in sites:
        if s.weight:
            h = mix(digest(s.name, b"fleet.node") ^ digest(group, b"fleet.group"))
            up, down = s.weight.as_integer_ratio()
            scores.append((s.zone, (minus_log2(h) << 40) * down // up, h, s.name))
    ranked = []
    for zone in {s.zone for s in sites}:
        inside = sorted(score[1:] for score in scores if score[0] == zone)
        ranked += [(rank, *score) for rank, score in enumerate(inside)]
    return tuple(name for _, _, _, name in sorted(ranked)[:replicas])


names = st.text(min_size=1, max_size=12).map(GroupName)
replica_counts = st.integers(1, 9)


@given(fleets(), names, replica_counts)
def test_the_shortcuts_change_nothing(sites: list[Site], group: GroupName, replicas: int) -> None:
    assert members_for(group, sites, replicas) == plain(group, sites, replicas)


@given(fleets(), names, replica_counts, st.randoms())
def test_the_order_of_the_sites_does_not_matter(
    sites: list[Site], group: GroupName, replicas: int, random: Random
) -> None:
    mixed = random.sample(sites, len(sites))
    assert members_for(group, mixed, replicas) == members_for(group, sites, replicas)


@given(fleets(), names, replica_counts)
def test_replicas_are_different_nodes_spread_over_zones_as_evenly_as_they_go(
    sites: list[Site], group: GroupName, replicas: int
) -> None:
    members = members_for(group, sites, replicas)
    hosts = [s for s in sites if s.weight]
    assert len(set(members)) == len(members) == min(replicas, len(hosts))
    zone_of = {s.name: s.zone for s in sites}
    taken = Counter(zone_of[name] for name in members)
    size = Counter(s.zone for s in hosts)
    for zone in size:
        assert all(taken[zone] >= taken[other] - 1 or taken[zone] == size[zone] for other in size)


@given(fleets(), names, replica_counts)
def test_more_replicas_keep_the_members_that_there_were(
    sites: list[Site], group: GroupName, replicas: int
) -> None:
    assert members_for(group, sites, replicas + 1)[:replicas] == members_for(group, sites, replicas)


def assert_only_towards(before: tuple[NodeName, ...], after: tuple[NodeName, ...], node: NodeName) -> None:
    """T = S as it stands, or T = S + {node} - {at most one other}; the leader changes only to the node."""
    if node not in after or node in before:
        assert set(after) == set(before)
    else:
        assert set(after) - set(before) == {node}
        assert len(set(before) - set(after)) == len(before) + 1 - len(after) <= 1
    if node not in before and node not in after:
        assert after == before
    assert after[:1] in (before[:1], (node,))


@settings(max_examples=400)
@given(fleets(), names, replica_counts, st.data())
def test_adding_or_removing_a_node_moves_one_member_of_a_group_to_or_from_it_or_nothing(
    sites: list[Site], group: GroupName, replicas: int, data: st.DataObject
) -> None:
    node = data.draw(st.sampled_from(sites))
    without = [s for s in sites if s is not node]
    assert_only_towards(members_for(group, without, replicas), members_for(group, sites, replicas), node.name)


@settings(max_examples=400)
@given(fleets(), names, replica_counts, st.floats(1, 50), st.data())
def test_more_weight_moves_members_only_towards_the_node(
    sites: list[Site], group: GroupName, replicas: int, factor: float, data: st.DataObject
) -> None:
    node = data.draw(st.sampled_from(sites))
    raised = [Site(s.name, s.zone, s.weight * factor) if s is node else s for s in sites]
    assert_only_towards(members_for(group, sites, replicas), members_for(group, raised, replicas), node.name)


@given(fleets(), st.integers(1, 6), st.data())
def test_gained_and_lost_are_what_placing_all_anew_would_find(
    sites: list[Site], replicas: int, data: st.DataObject
) -> None:
    node = data.draw(st.sampled_from(sites))
    with_it = Placement(sites)
    without = with_it.without(node.name)
    assert without.with_site(node).sites == {**without.sites, node.name: node}
    wanted = groups(20, replicas)
    before, after = without.place(wanted), with_it.place(wanted)
    assert with_it.gained(node.name, wanted, before) == {g: m for g, m in after.items() if m != before[g]}
    lost = without.lost(node.name, wanted, after)
    assert {**after, **lost} == before and all(node.name in after[group] for group in lost)


@pytest.mark.parametrize("zones", [[5], [3, 3, 3], [4, 1], [2, 3, 2, 1]])
def test_a_node_that_comes_takes_its_share_of_members_and_leaders(zones: list[int]) -> None:
    """Slides: 100 processes over 4 nodes, then 5. Here with the binomial bound, five deviations wide."""
    count = 4000
    wanted = groups(count, 1)
    before = Placement(flat(zones)).place(wanted)
    grown = Placement([*flat(zones), site("new", "z0")])
    moved = len(grown.gained(NodeName("new"), wanted, before))
    share = 1 / (sum(zones) + 1)
    assert abs(moved - count * share) < 5 * math.sqrt(count * share * (1 - share))


@pytest.mark.parametrize("zones", [[7], [3, 3, 3], [4, 4]])
def test_members_and_leaders_are_even_within_the_binomial_bound(zones: list[int]) -> None:
    count, nodes = 4000, sum(zones)
    placed = Placement(flat(zones)).place(groups(count, len(zones)))
    leaders = Counter(members[0] for members in placed.values())
    held = Counter(name for members in placed.values() for name in members)
    for s in flat(zones):
        for taken, share in ((leaders[s.name], 1 / nodes), (held[s.name], len(zones) / nodes)):
            assert abs(taken - count * share) < 5 * math.sqrt(count * share * (1 - share))


def test_similar_names_are_as_good_as_any() -> None:
    """Chi-square of leaders over 64 nodes, for names that differ in one letter: 63 +- 5 * sqrt(126)."""
    sites = [site(f"node{n:02}", "z") for n in range(64)]
    count = 12_800
    leaders = Counter(m[0] for m in Placement(sites).place(groups(count, 1)).values())
    chi = sum((leaders[s.name] - count / 64) ** 2 / (count / 64) for s in sites)
    assert 20 < chi < 120


def test_weight_0_takes_nothing_and_double_weight_takes_double() -> None:
    sites = [site("a", "z", 0), site("b", "z", 1), site("c", "z", 2), site("d", "z", 4)]
    count = 7000
    leaders = Counter(m[0] for m in Placement(sites).place(groups(count, 1)).values())
    assert leaders[NodeName("a")] == 0
    for name, share in (("b", 1 / 7), ("c", 2 / 7), ("d", 4 / 7)):
        assert abs(leaders[NodeName(name)] - count * share) < 5 * math.sqrt(count * share * (1 - share))
    assert members_for(GroupName("g"), [site("a", "z", 0)], 3) == ()


def test_equal_weights_are_as_no_weights() -> None:
    sites = flat([3, 4, 2])
    heavy = [Site(s.name, s.zone, 7.25) for s in sites]
    assert Placement(heavy).place(groups(200)) == Placement(sites).place(groups(200))


# -- upstream's table ----------------------------------------------------------------------------


UPSTREAM: list[dict[int, str]] = [
    {},
    {1: "abc"},
    {1: "abc", 2: "def"},
    {1: "abc", 2: "def", 3: "ghi"},
    {1: "ab", 2: "c"},
    {1: "a", 2: "bc"},
]


def by_hash_of(sites: list[Site], group: GroupName) -> Callable[[str], int]:
    order = {s.name: mix(digest(s.name, b"fleet.node") ^ digest(group, b"fleet.group")) for s in sites}
    return lambda name: order[NodeName(name)]


@pytest.mark.parametrize("zones", UPSTREAM, ids=str)
@pytest.mark.parametrize("replicas", range(1, 11))
def test_rank_in_the_zone_comes_before_hash(zones: dict[int, str], replicas: int) -> None:
    """RF22: the table of upstream's placement test, for the hashes that we have."""
    sites = [site(name, f"zone{zone}") for zone, nodes in zones.items() for name in nodes]
    group = GroupName("cg_name")
    by_hash = by_hash_of(sites, group)
    rows = [sorted(nodes, key=by_hash) for nodes in zones.values()]
    ranks = [sorted((row[rank] for row in rows if rank < len(row)), key=by_hash) for rank in range(3)]
    expected = [name for rank in ranks for name in rank]
    assert list(members_for(group, sites, replicas)) == expected[:replicas]


# -- the same for ever -----------------------------------------------------------------------------

GOLDEN_SITES = [
    site("n1", "tokyo", 1.0),
    site("n2", "tokyo", 2.0),
    site("n3", "osaka", 1.0),
    site("n4", "osaka", 0.3),
    site("n5", "東京", 1.0),
    site("n6", "東京", 1e-3),
]
GOLDEN = {
    "visits": "n2 n3 n5 n1",
    "a": "n2 n5 n4 n1",
    "グループ": "n2 n5 n3 n1",
    "x" * 300: "n2 n5 n4 n1",
}


def test_placement_is_the_same_in_every_version_for_ever() -> None:
    """A change here moves members of every running fleet, and all its nodes would have to agree on it."""
    found = {group: " ".join(members_for(GroupName(group), GOLDEN_SITES, 4)) for group in GOLDEN}
    assert found == GOLDEN
    placed = Placement(flat([5, 5, 5])).place(groups(500))
    assert hashlib.sha256(repr(sorted(placed.items())).encode()).hexdigest()[:16] == "999a2bb227a70b93"


def test_placement_is_the_same_in_every_process() -> None:
    code = (
        "from tests.cluster.test_placement import *; "
        "print([members_for(GroupName(g), GOLDEN_SITES, 4) for g in GOLDEN])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{[members_for(GroupName(g), GOLDEN_SITES, 4) for g in GOLDEN]}\n"}


# -- the logarithm ---------------------------------------------------------------------------------


@given(st.integers(0, (1 << 64) - 2), st.integers(0, 64))
def test_the_logarithm_never_decreases_and_is_nearly_right(h: int, shift: int) -> None:
    h >>= shift
    assert minus_log2(h) <= minus_log2(h + 1)
    exact = -math.log1p(-h / 2**64) / math.log(2) if h < 1 << 63 else 64 - math.log2(2**64 - h)
    assert abs(minus_log2(h) / 2**40 - exact) <= 5e-4 * exact + 2**-39


def test_the_logarithm_has_no_step_back_where_chords_meet() -> None:
    edges = [(1 << 64) - (1 << 63) + (i << 53) for i in range(1 << 10)]
    for h in edges:
        assert minus_log2(h - 1) <= minus_log2(h) <= minus_log2(h + 1)
    assert all(minus_log2(a) < minus_log2(b) for a, b in pairwise(edges))
    assert minus_log2(0) == 0 and minus_log2((1 << 64) - 1) == 64 << 40


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, -math.inf])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(BadArguments, match="weight"):
        Placement([site("a", "z", weight)])


def test_what_cannot_be_placed_is_refused_with_a_reason() -> None:
    with pytest.raises(BadArguments, match="two nodes of one name.*node=a"):
        Placement([site("a", "z"), site("b", "z"), site("a", "y")])
    with pytest.raises(BadArguments, match="not empty"):
        Placement([site("", "z")])
    for replicas in (0, -1):
        with pytest.raises(NotDone, match="at least one replica"):
            members_for(GroupName("g"), [site("a", "z")], replicas)
    fleet = Placement([site("a", "z")])
    with pytest.raises(BadArguments, match="no such node"):
        fleet.without(NodeName("b"))
    with pytest.raises(BadArguments, match="not among"):
        fleet.gained(NodeName("b"), {}, {})
    with pytest.raises(BadArguments, match="still among"):
        fleet.lost(NodeName("a"), {}, {})
