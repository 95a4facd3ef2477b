"""What judges a simulated fleet beside its members: each judge refuses what it is there for."""

from types import SimpleNamespace
from typing import Any

import pytest

from fleet.cluster.state import ACTIVE, GroupInfo, NodeRecord
from fleet.errors import Compacted, GroupExists, NoSuchGroup, OutcomeUnknown, Unavailable
from fleet.objects.hooks import Committed
from fleet.objects.payload import encode_call, encode_value
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Commands, Entry, Members, Skipped
from fleet.raft.group_events import LAST, GroupEvent, Position
from fleet.sim.checks.alarms import CALLED, CANCELLED, SET, lost, objection, reminders_skipped
from fleet.sim.checks.answers import OperatorHistory
from fleet.sim.checks.clusters import held_after_removal, seen_differently, zones_wasted
from fleet.sim.checks.events import EmittedEvents, ToldEvents, numbers_skipped
from fleet.sim.checks.history import RecordedCall
from fleet.sim.checks.keys import Keys
from fleet.sim.checks.numbers import Numbers
from fleet.sim.checks.placement import Redundancy
from fleet.sim.world.timeline import Broken, S
from fleet.sim.world.world import World

ADD = ("g", 3, b"", None, ())


def node(name: Any, zone: str = "z", state: str = ACTIVE) -> NodeRecord:
    return NodeRecord(name, f"{name}d", zone, f"{name}:1", 1.0, state)


def group(replicas: int = 3, pinned: Any = ()) -> GroupInfo:
    return GroupInfo("g", 7, replicas, b"", GroupConfig(), (), pinned)


# -- operators' answers ------------------------------------------------------------------------------


def test_answers_that_one_order_explains_are_fine() -> None:
    history = OperatorHistory()
    for method, args, error in (
        ("add_group", ADD, None),
        ("add_group", ADD, GroupExists("", group="g")),
        ("set_replicas", ("g", 5), None),
        ("remove_group", ("g",), None),
        ("remove_group", ("g",), NoSuchGroup("", group="g")),
        ("add_group", ADD, Unavailable("")),
        ("add_group", ADD, OutcomeUnknown("")),
    ):
        history.answered(history.asks(method, args, 1), error, 2)
    assert history.objection({"g": group()}, 3) == ""


@pytest.mark.parametrize(
    ("method", "args", "error", "there"),
    [
        ("add_group", ADD, None, {}),
        ("add_group", ADD, GroupExists("", group="g"), {}),
        ("remove_group", ("g",), None, {"g": group()}),
        ("set_replicas", ("g", 5), None, {"g": group(3)}),
        ("pin_group", ("g", ("n1",), 1), None, {"g": group(3, ("n1",))}),
    ],
)
def test_an_answer_that_the_cluster_does_not_bear_out_is_told(
    method: str, args: Any, error: Any, there: dict[str, Any]
) -> None:
    history = OperatorHistory()
    if method != "add_group":
        history.answered(history.asks("add_group", ADD, 0), None, 0)
    history.answered(history.asks(method, args, 1), error, 2)
    assert "operators' requests" in history.objection(there, 3)


# -- numbers of commands -----------------------------------------------------------------------------


def test_a_number_that_names_two_commands_of_a_session_is_told() -> None:
    numbers = Numbers()
    for session, first, payloads in ((7, 1, (b"a", b"b")), (7, 2, (b"b", b"c")), (8, 1, (b"z",))):
        assert numbers.objection(Commands(session, first, 0, 5, payloads)) == ""
    assert "command 3 of session 7" in numbers.objection(Commands(7, 3, 0, 5, (b"d",)))


# -- keys --------------------------------------------------------------------------------------------


def test_a_key_has_one_answer() -> None:
    use = Keys().begin("invoice", "add", (5,), RecordedCall("c1", "g", 0, None))
    assert use.objection(5, 7) == ""
    use.told = 5, 7
    assert use.objection(5, 7) == ""
    assert "executed twice" in use.objection(10, 9) and "executed twice" in use.objection(5, 9)


def test_a_key_that_every_call_was_refused_for_is_void() -> None:
    keys = Keys()
    refused, unsure, told = (keys.begin(key, "add", (5,), RecordedCall("c1", "g", 0, None)) for key in "abc")
    refused.under_way, unsure.under_way, told.under_way = 2, 1, 1
    unsure.is_unsure, told.told = True, (5, 7)
    assert [keys.end(use) for use in (refused, refused, unsure, told)] == [False, True, False, False]
    assert keys.uses == [unsure, told]


# -- the cluster -------------------------------------------------------------------------------------


def test_a_node_that_sees_the_cluster_otherwise_is_told() -> None:
    def cluster(**facts: Any) -> Any:
        same = {"nodes": {}, "groups": {}, "removed": {}, "purge_after_ms": 5, "cluster_leader": ""}
        return SimpleNamespace(**(same | facts))

    assert seen_differently(cluster(), cluster()) == ""
    assert seen_differently(cluster(groups={"g": group()}), cluster()).startswith("groups: ")


def test_a_member_of_a_group_whose_removal_is_settled_is_told() -> None:
    hosted = SimpleNamespace(spec=SimpleNamespace(uid=7, name="g"), member="n1@d.1", is_dropped=False)
    members = SimpleNamespace(by_number={1: hosted})
    world: Any = SimpleNamespace(
        nodes={"n1": SimpleNamespace(manager=SimpleNamespace(hosted_members=members))}
    )
    assert held_after_removal(world, [8]) == ""
    assert "n1 holds n1@d.1 of g" in held_after_removal(world, [7])


def test_two_members_in_one_zone_are_told_where_there_is_another_zone() -> None:
    nodes: Any = {name: node(name, zone) for name, zone in (("n1", "a"), ("n2", "a"), ("n3", "b"))}
    names: Any = ("n1", "n2")
    assert zones_wasted(group(2), names, nodes) == "g is in zones ['a'] of ['a', 'b']"
    apart: Any = ("n1", "n3")
    assert zones_wasted(group(2), apart, nodes) == zones_wasted(group(2, names), names, nodes) == ""


def members(*names: str) -> Any:
    voters: Any = tuple(f"{name}@{name}d.1" for name in names)
    return Members(voters)


def test_a_voter_that_is_well_stays_until_its_replacement_votes() -> None:
    running: list[Any] = []
    world: Any = SimpleNamespace(now=0, nodes={}, members_of=lambda name: running, violated=World().violated)
    redundancy = Redundancy(world)
    leader: Any = SimpleNamespace(spec=SimpleNamespace(name="g"), core=SimpleNamespace(id="n1@n1d.1"))
    nodes = {name: node(name) for name in ("n1", "n2", "n3")}
    change = (leader, members("n1", "n2", "n3"), members("n1", "n2"))
    redundancy.look(SimpleNamespace(rev=1, nodes=nodes, groups={"g": group(3)}))
    redundancy.on_change(*change)  # the member of n3 does not run
    running.append(SimpleNamespace(core=SimpleNamespace(id="n3@n3d.1"), failed=False))
    with pytest.raises(Broken, match="n3@n3d.1 leaves while it is well"):
        redundancy.on_change(*change)
    redundancy.look(SimpleNamespace(rev=2, nodes=nodes, groups={"g": group(3, ("n1", "n2"))}))
    redundancy.on_change(*change)
    world.now = 20 * S
    redundancy.look(SimpleNamespace(rev=3, nodes=nodes, groups={"g": group(3)}))
    redundancy.on_change(*change)  # decided on what was so until now
    world.now = 40 * S
    with pytest.raises(Broken):
        redundancy.on_change(*change)


def test_a_voter_may_leave_by_a_state_that_the_node_which_decided_saw_late() -> None:
    """Seed 700315: n3 was purged and joined again at once, and the leader's node knew of the first only."""
    member: Any = SimpleNamespace(core=SimpleNamespace(id="n3@n3d.1"), failed=False)
    world: Any = SimpleNamespace(now=0, nodes={}, members_of=lambda name: [member], violated=World().violated)
    redundancy = Redundancy(world)
    leader: Any = SimpleNamespace(spec=SimpleNamespace(name="g"), core=SimpleNamespace(id="n1@n1d.1"))
    nodes = {name: node(name) for name in ("n2", "n3")}
    redundancy.look(SimpleNamespace(rev=55, nodes=nodes, groups={"g": group(3)}))
    redundancy.look(SimpleNamespace(rev=54, nodes={"n2": nodes["n2"]}, groups={"g": group(3)}))
    redundancy.on_change(leader, members("n2", "n3"), members("n2"))


# -- hooks -------------------------------------------------------------------------------------------


def written(value: int, revision: int, inherited: bool = False) -> Committed:
    return Committed("write", (value,), {}, None, None, revision, "c", inherited)


CAS = Committed("cas", (4, 5), {}, True, None, 12, "c", False)


def told(*events: tuple[str, tuple[Any, ...]]) -> str:
    world = World()
    teller = SimpleNamespace(group="g", member="n1@d.1")
    for name, facts in events:
        world.hooks.note(teller, name, facts)
    return world.accused


def test_hooks_that_are_told_of_everything_in_order_are_fine() -> None:
    assert not told(
        ("elected", (3, 2)), ("committed", (written(3, 9, inherited=True),)),
        ("committed", (written(4, 10),)), ("committed", (CAS,)), ("stepped down", (2,)), ("elected", (5, 4)),
    )  # fmt: skip


@pytest.mark.parametrize(
    "events",
    [
        (("elected", (0, 2)), ("elected", (0, 3))),
        (("elected", (0, 2)), ("stepped down", (2,)), ("elected", (0, 2))),
        (("committed", (written(1, 5),)),),
        (("elected", (0, 2)), ("committed", (written(1, 5),)), ("committed", (written(1, 5),))),
        (("elected", (0, 2)), ("committed", (CAS,))),
        (("elected", (0, 2)), ("stepped down", (3,))),
        (("answered", ("read", 1)),),
    ],
)
def test_hooks_that_miss_or_hear_twice_are_told(events: Any) -> None:
    assert told(*events).startswith("g: hooks of n1@d.1 ")


# -- reminders ---------------------------------------------------------------------------------------


def test_reminders_that_are_called_once_and_in_time_are_fine() -> None:
    once, repeats, taken_back = (SET, 1, 100, 0), (SET, 2, 100, 50), (SET, 3, 100, 50)
    journal = [once, repeats, taken_back, (CANCELLED, 3, 90, 0), (CALLED, 1, 100, 0)]
    journal += [(CALLED, 2, 180, 0), (CALLED, 2, 200, 0), (CANCELLED, 2, 210, 0)]
    assert objection(journal, 0) == ""
    assert lost(journal, [(SET, 1), (SET, 2), (CANCELLED, 3)]) == []


@pytest.mark.parametrize(
    ("journal", "why"),
    [
        ([(CALLED, 1, 100, 0)], "called or cancelled before"),
        ([(SET, 1, 100, 0), (CALLED, 1, 100, 0), (CALLED, 1, 101, 0)], "called or cancelled before"),
        ([(SET, 1, 100, 50), (CANCELLED, 1, 90, 0), (CALLED, 1, 150, 0)], "called or cancelled before"),
        ([(SET, 1, 100, 0), (CALLED, 1, 99, 0)], "is due at 100"),
        ([(SET, 1, 100, 50), (CALLED, 1, 100, 0), (CALLED, 1, 149, 0)], "is due at 150"),
        ([(SET, 1, 100, 0)], "are not called"),
    ],
)
def test_reminders_that_are_called_otherwise_are_told(journal: Any, why: str) -> None:
    assert why in objection(journal, 0)


def test_what_a_client_was_told_to_be_done_and_a_group_did_not_do_is_told() -> None:
    journal = [(SET, -1, 100, 0), (SET, 2, 100, 50)]
    assert lost(journal, [(SET, 1), (SET, 2), (CANCELLED, 2)]) == [(CANCELLED, 2)]


# -- watches -----------------------------------------------------------------------------------------


EVENTS: dict[Position, tuple[str, int]] = {(2, 0): ("odd", 7), (2, 1): ("even", 7), (5, 0): ("odd", 9)}
COMPACTED = Compacted("", oldest=3)


def told_of(*places: Position, began: Position | None = (0, LAST), **more: Any) -> ToldEvents:
    events = [GroupEvent(*place, EVENTS[place][0], encode_value(EVENTS[place][1])) for place in places]
    about = {"watcher": "w", "since": began, "kinds": None, "began": began, "events": events}
    return ToldEvents(**about | more)


def watch_objection(told: ToldEvents, is_there: bool = True, without: tuple[int, ...] = ()) -> str:
    emissions = EmittedEvents(World())
    for position, event in EVENTS.items():
        emissions.note(position, *event)
    return emissions.objection(told, emissions.in_order(without), 2, is_there)


@pytest.mark.parametrize(
    "told",
    [
        told_of(*EVENTS),
        told_of((5, 0), began=(2, 1)),
        told_of((2, 0), (5, 0), kinds=frozenset({"odd"})),
        told_of((2, 0), is_closed=True),
        told_of((2, 0), error=COMPACTED, count_then=3),
        told_of(began=(5, LAST), since=None, count_before=3),
        told_of(began=None, is_closed=True),
    ],
)
def test_watchers_that_are_told_of_each_event_are_fine(told: ToldEvents) -> None:
    assert watch_objection(told) == ""


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (told_of((2, 0), (5, 0)), "is told ((5, 0), 'odd', 9) as number 1, and not [((2, 1), 'even', 7)]"),
        (told_of(*EVENTS, (5, 0)), "as number 3, and not []"),
        (told_of((2, 1), (2, 0)), "as number 0"),
        (told_of((2, 0), (2, 1)), "is not told of 1 events behind (2, 1)"),
        (told_of((2, 1), kinds=frozenset({"odd"}), is_closed=True), "as number 0"),
        (told_of((2, 0), error=COMPACTED, count_then=2), "with 2 events since 2"),
        (told_of(error=Unavailable("")), "ends with Unavailable"),
        (told_of(*EVENTS, error=NoSuchGroup("", group="g")), "ends with NoSuchGroup"),
        (told_of(began=None), "does not begin"),
        (told_of(began=(5, 0), since=None, count_before=2, is_closed=True), "behind (5, 0), which"),
    ],
)
def test_watchers_that_miss_or_hear_twice_are_told(told: ToldEvents, why: str) -> None:
    assert why in watch_objection(told)


def test_watches_end_with_their_group() -> None:
    gone = NoSuchGroup("", group="g")
    assert watch_objection(told_of((2, 0), error=gone), is_there=False) == ""
    assert "its group was removed" in watch_objection(told_of((2, 0)), is_there=False)


def test_what_a_skipped_command_emitted_is_no_event() -> None:
    assert watch_objection(told_of((5, 0)), without=(7,)) == ""
    payloads = tuple(encode_call("add", (1, number), {}) for number in (6, 7))
    committed = {4: Entry(1, 4, Commands(1, 1, 0, 0, payloads)), 9: Entry(1, 9, Skipped(4, 1, "hang:"))}
    assert numbers_skipped(committed) == {7}


def test_a_reminder_that_was_skipped_is_known_by_the_log() -> None:
    committed = {
        9: Entry(1, 9, Skipped(4, 1, "ring: did not return within 0.3 s")),
        10: Entry(1, 10, Skipped(5, 0, "set: did not return within 0.3 s")),
    }
    assert reminders_skipped(committed) == 1
    journal = [(SET, 3, 50, 0)]
    assert objection(journal, reminders_skipped(committed)) == ""
    assert "[3] are not called" in objection(journal, reminders_skipped({}))


def test_members_that_emit_different_events_are_told() -> None:
    world = World()
    for number in (7, 7, 8):
        world.emitted((2, 0), "odd", number)
    assert "the event at (2, 0) is ('odd', 8)" in world.accused
