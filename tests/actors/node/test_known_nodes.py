"""Which nodes a node knows: what is news, what is believed, and for how long somebody was silent."""

from typing import Any

import pytest

from fleet.actors.messages.values import NodeInfo
from fleet.actors.node.known_nodes import (
    ECHO,
    ECHOES_MAX,
    ELDER,
    NODES_MAX,
    OLDER,
    RUNS_MS,
    SECOND,
    SOUND,
    STOOD_STILL_MS,
    TOLD_APART_MS,
    TOLD_MAX,
    KnownNodes,
)
from fleet.raft.ids import NodeName

N1, N2, N3 = NodeName("n1"), NodeName("n2"), NodeName("n3")
ADDRESS: Any = "an actor"


def info(
    name: NodeName = N2, *, boot: int = 7, started_ms: int = 100, address: str = "a:1", disk: str = "d"
) -> NodeInfo:
    return NodeInfo(name, address, "z", disk, started_ms, boot)


@pytest.fixture
def nodes() -> KnownNodes:
    return KnownNodes(info(N1))


def meet(nodes: KnownNodes, node: NodeInfo, now: int = 0) -> bool:
    return nodes.meet(node, ADDRESS, ADDRESS, now)


def test_of_what_others_pass_on_only_a_later_start_is_news(nodes: KnownNodes) -> None:
    assert nodes.learn(info())
    assert not nodes.learn(info())
    assert not nodes.learn(info(started_ms=99, address="b:1"))
    assert not nodes.learn(info(boot=6, started_ms=200)), "an older copy of the disk"
    assert not nodes.learn(info(N1, started_ms=200)), "this node knows itself"
    assert nodes.infos == {N2: info()}
    assert nodes.learn(info(started_ms=101, address="b:1")) and nodes.infos[N2].address == "b:1"


def test_what_a_node_says_itself_is_believed_also_if_its_clock_went_back(nodes: KnownNodes) -> None:
    assert meet(nodes, info())
    assert not meet(nodes, info())
    assert meet(nodes, info(started_ms=50, address="b:1")) and nodes.infos[N2].address == "b:1"
    assert nodes.learn(info(N3)) and meet(nodes, info(N3)), "it was known, and never met"


def test_a_start_that_could_not_be_counted_keeps_the_count_that_is_remembered(nodes: KnownNodes) -> None:
    meet(nodes, info(boot=7))
    assert meet(nodes, info(boot=0, started_ms=200)), "another process"
    assert nodes.infos[N2] == info(boot=7, started_ms=200)
    assert not meet(nodes, info(boot=0, started_ms=200))
    assert meet(nodes, info(boot=0, disk="new")) and nodes.infos[N2].boot == 0, "another disk counts anew"


def test_s83_a_late_word_of_an_uncounted_process_makes_no_older_copy_of_its_successor(
    nodes: KnownNodes,
) -> None:
    """The successor lost all members (seed 803720)."""
    meet(nodes, info(boot=7, started_ms=100))
    meet(nodes, info(boot=0, started_ms=50))
    assert nodes.judge(info(boot=7, started_ms=100), 0) == SOUND
    assert nodes.judge(info(boot=7, started_ms=200), 0) == OLDER


def test_no_more_nodes_are_remembered_than_can_be_called_on(nodes: KnownNodes) -> None:
    names = [NodeName(f"m{number}") for number in range(NODES_MAX)]
    assert all(nodes.learn(info(name)) for name in names)
    assert not nodes.learn(info(N2)) and not meet(nodes, info(N2))
    assert nodes.learn(info(names[0], started_ms=200)) and meet(nodes, info(names[1]))
    assert len(nodes.infos) == NODES_MAX and len(nodes.everyone()) == NODES_MAX + 1


@pytest.mark.parametrize(
    ("said", "judgement"),
    [
        (info(), SOUND),
        (info(boot=8, started_ms=200), SOUND),
        (info(boot=8, started_ms=50), SOUND),
        (info(boot=7, started_ms=100, address="b:1"), SOUND),
        (info(boot=6, started_ms=200), OLDER),
        (info(boot=7, started_ms=200), OLDER),
        (info(boot=7, started_ms=200, address="b:1"), SECOND),
        (info(boot=6, started_ms=50), ECHO),
        (info(boot=0, started_ms=200), SOUND),
        (info(boot=6, started_ms=200, disk="new"), SOUND),
        (info(N3, boot=1, started_ms=1), SOUND),
    ],
)
def test_s83_a_process_is_judged_by_the_newest_of_its_disk(
    nodes: KnownNodes, said: NodeInfo, judgement: str
) -> None:
    meet(nodes, info())
    assert nodes.judge(said, RUNS_MS - 1) == judgement


def test_s83_nothing_is_judged_by_a_start_that_was_not_counted(nodes: KnownNodes) -> None:
    meet(nodes, info(boot=0))
    assert nodes.judge(info(boot=7, started_ms=50), 0) == SOUND


def test_s83_a_directory_that_moved_is_an_older_copy_once_its_newest_process_is_silent(
    nodes: KnownNodes,
) -> None:
    meet(nodes, info())
    assert nodes.judge(info(started_ms=200, address="b:1"), RUNS_MS) == OLDER


def test_s83_an_earlier_process_that_is_heard_again_and_again_runs_still(nodes: KnownNodes) -> None:
    elder = info(boot=6, started_ms=50, address="b:1")
    meet(nodes, info())
    judged = [nodes.judge(elder, 0) for _ in range(ECHOES_MAX)]
    assert judged == [ECHO] * (ECHOES_MAX - 1) + [ELDER]
    assert nodes.judge(info(boot=8, started_ms=300), 0) == SOUND
    assert nodes.judge(elder, 0) == ECHO, "counted from the newest process on"


def test_s83_an_older_copy_that_was_told_so_often_has_served_since_and_goes_on(nodes: KnownNodes) -> None:
    meet(nodes, info())
    times = range(0, (TOLD_MAX + 1) * TOLD_APART_MS, TOLD_APART_MS)
    judged = [nodes.judge(info(boot=6, started_ms=200), now) for now in times]
    assert judged == [OLDER] * TOLD_MAX + [SOUND]


def test_s83_late_words_of_an_ended_process_never_count_as_an_older_copy_that_goes_on(
    nodes: KnownNodes,
) -> None:
    """Its successor's wall clock had gone back, and was ignored from then on (seed 830013)."""
    meet(nodes, info(boot=8, started_ms=50))
    late = [nodes.judge(info(boot=7, started_ms=100), now) for now in range(TOLD_APART_MS)]
    assert late == [OLDER] * TOLD_APART_MS


def test_silence_counts_from_the_last_word_or_from_when_it_began_to_matter(nodes: KnownNodes) -> None:
    meet(nodes, info(), now=100)
    assert not nodes.watch([N1, N2, N3], 1000)
    assert (nodes.silent_ms(N2, 1500), nodes.silent_ms(N3, 1500)) == (500, 500)
    meet(nodes, info(), now=1400)
    assert (nodes.silent_ms(N2, 1500), nodes.silent_ms(N3, 1500)) == (100, 500)
    assert nodes.silent_ms(NodeName("n9"), 1500) == 0, "nobody waits for it"
    assert nodes.watch([N1, N3], 1600) and N2 not in nodes.infos and N2 not in nodes.managers
    assert not nodes.watch([N1, N3], 1700)


@pytest.mark.parametrize(("pause_ms", "is_forgiven"), [(STOOD_STILL_MS, False), (STOOD_STILL_MS + 1, True)])
def test_whoever_stood_still_counts_nobodys_silence_meanwhile(
    nodes: KnownNodes, pause_ms: int, is_forgiven: bool
) -> None:
    nodes.look(0)
    nodes.watch([N2], 0)
    nodes.look(pause_ms)
    assert nodes.silent_ms(N2, pause_ms) == (0 if is_forgiven else pause_ms)


def test_a_node_is_reachable_for_so_long_after_its_last_word_and_itself_always(nodes: KnownNodes) -> None:
    meet(nodes, info(), now=100)
    assert nodes.is_reachable(N2, 149, 50) and not nodes.is_reachable(N2, 150, 50)
    assert nodes.is_reachable(N1, 10**9, 1) and not nodes.is_reachable(N3, 0, 1)


def test_what_is_written_is_what_others_may_pass_on(nodes: KnownNodes) -> None:
    meet(nodes, info())
    again = KnownNodes(info(N1))
    again.add_from(nodes.to_bytes())
    assert again.infos == nodes.infos and again.managers == {}
