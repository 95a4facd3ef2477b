"""How actors of the kernel are created, and how they end."""

from datetime import timedelta
from typing import Any

import pytest
from thespian.actors import (
    Actor,
    ActorExitRequest,
    InvalidActorSpecification,
    NoCompatibleSystemForActor,
    requireCapability,
)

from fleet.actors.base import remote_address
from tests.actors.base.helpers import Bench, Echo, Fragile, NonStarter, Parent, Recorder, family


def test_actors_are_created_by_class_and_by_name() -> None:
    bench = Bench()
    by_name = bench.create("tests.actors.base.helpers.Echo")
    assert bench.ask(by_name, "hello") == ["hello"]
    parent = bench.create(Parent)
    (child,) = bench.ask(parent, ("create", "tests.actors.base.helpers.Echo", {}))
    assert bench.ask(child, "hello") == ["hello"]


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("Echo", InvalidActorSpecification),
        ("no.such.module.Echo", ImportError),
        ("tests.actors.base.helpers.NoSuchActor", InvalidActorSpecification),
        (NonStarter, ValueError),
    ],
)
def test_a_primary_actor_that_cannot_be_created_says_why(spec: Any, error: type[Exception]) -> None:
    bench = Bench()
    with pytest.raises(error):
        bench.create(spec)
    assert bench.kernel.actor_count() == 0


def test_a_child_that_cannot_start_is_reported_to_its_parent_as_exited() -> None:
    bench = Bench()
    parent = bench.create(Parent)
    (child,) = bench.ask(parent, ("create", NonStarter, {}))
    assert bench.ask(parent, "exits?") == [[child]]


def test_a_global_name_is_one_actor_whoever_creates_it() -> None:
    bench = Bench()
    one = bench.create(Echo, name="the one")
    assert bench.create(Recorder, name="the one") == one
    (same,) = bench.ask(bench.create(Parent), ("create", Recorder, {"globalName": "the one"}))
    assert same == one and str(same) == str(one)
    assert bench.kernel.instance(one).globalName == "the one"
    assert bench.kernel.instance(bench.create(Echo)).globalName is None
    bench.ask(one, ActorExitRequest())
    again = bench.create(Recorder, name="the one")
    assert isinstance(bench.kernel.instance(again), Recorder)


def test_a_well_known_actor_is_reached_by_name_in_any_life() -> None:
    bench = Bench(endpoint="here:1")
    bench.create(Echo, name="registry")
    assert bench.ask(remote_address("here:1", "registry"), "hello") == ["hello"]


def test_constructors_get_capabilities_and_requirements_if_they_name_them() -> None:
    class Curious(Actor):
        def __init__(self, capabilities: Any = None, requirements: Any = None) -> None:
            self.known = (capabilities["colour"], requirements)

        def receiveMessage(self, message: Any, sender: Any) -> None:
            self.send(sender, self.known)

    bench = Bench()
    bench.kernel.update_capability("colour", "green")
    assert bench.ask(bench.create(Curious, requirements={"n": 1}), "?") == [("green", {"n": 1})]


def test_capabilities_decide_who_may_run_here_and_who_must_leave() -> None:
    @requireCapability("gpu")
    class Painter(Echo):
        pass

    bench = Bench()
    with pytest.raises(NoCompatibleSystemForActor):
        bench.create(Painter)
    bench.kernel.update_capability("gpu", True)
    painter = bench.create(Painter)
    assert bench.ask(painter, 1) == [1]
    bench.kernel.update_capability("gpu", None)
    assert bench.ask(painter, 1) == []
    assert bench.kernel.actor_count() == 0


# -- exit ------------------------------------------------------------------------------------------


def test_an_exit_takes_the_children_along_and_tells_the_parent() -> None:
    bench = Bench()
    grandparent, parent, child = family(bench)
    bench.ask(parent, ActorExitRequest())
    assert bench.ask(child, "there?") == []
    assert bench.ask(grandparent, "exits?") == [[parent]]
    assert bench.kernel.actor_count() == 1


def test_a_parent_is_gone_only_after_its_children_and_sees_them_leave() -> None:
    left: list[str] = []

    class Leaf(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            left.append(f"leaf {type(message).__name__}")

    class Branch(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            if message == "grow":
                self.createActor(Leaf)
            else:
                left.append(f"branch {type(message).__name__}")

    bench = Bench()
    branch = bench.create(Branch)
    bench.ask(branch, "grow", "grow", ActorExitRequest())
    assert left == [
        "branch ActorExitRequest",
        "leaf ActorExitRequest",
        "leaf ActorExitRequest",
        "branch ChildActorExited",
        "branch ChildActorExited",
    ]
    assert bench.kernel.actor_count() == 0


def test_a_non_recursive_exit_leaves_the_children_alive() -> None:
    bench = Bench()
    _, parent, child = family(bench)
    bench.ask(parent, ActorExitRequest(recursive=False))
    assert bench.ask(child, "there?") == ["there?"]
    bench.kernel.stop_actors()
    bench.settle()
    assert bench.kernel.actor_count() == 0


def test_what_was_sent_before_the_exit_request_is_handled_and_what_came_after_is_not() -> None:
    bench = Bench()
    assert bench.ask(bench.create(Echo), 1, 2, ActorExitRequest(), 3) == [1, 2]


def test_sys_exit_in_a_handler_ends_that_actor_only() -> None:
    bench = Bench()
    parent = bench.create(Parent)
    (child,) = bench.ask(parent, ("create", Fragile, {}))
    bench.ask(child, "sys.exit")
    assert bench.ask(parent, "exits?") == [[child]]


def test_an_exiting_actor_lets_go_of_its_instance_and_its_timers() -> None:
    class Sleeper(Actor):
        def receiveMessage(self, message: Any, sender: Any) -> None:
            self.wakeupAfter(timedelta(hours=1))

    bench = Bench()
    bench.ask(bench.create(Sleeper), "sleep", ActorExitRequest())
    assert bench.kernel.next_timer() is None
    assert list(bench.kernel.cells) == [bench.me.ident.local]


def test_a_mailbox_outlives_an_exit_request() -> None:
    bench = Bench()
    bench.tell(bench.me, ActorExitRequest())
    assert len(bench.settle()) == 1
    assert bench.ask(bench.create(Echo), "hello") == ["hello"]
