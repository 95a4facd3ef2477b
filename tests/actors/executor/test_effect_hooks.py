"""Effects are told one after the other, each until it is done."""

from fleet.actors.executor.effect_hooks import EffectHooks
from fleet.objects.hooks import HookCall
from fleet.raft.group_events import GroupEvent


class Later:
    """A runner whose calls run when the test says so."""

    def __init__(self) -> None:
        self.calls: list[HookCall] = []

    def submit(self, group: str, call: HookCall) -> None:
        self.calls.append(call)

    def close(self) -> None: ...

    def run(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call.carry_out("g")


def event(number: int) -> GroupEvent:
    return GroupEvent(number, 0, "kind", b"")


class World:
    def __init__(self) -> None:
        self.runner = Later()
        self.told: list[int] = []
        self.fails: set[int] = set()
        self.effects = EffectHooks("g", self.runner, self.tell)

    def tell(self, one: GroupEvent) -> None:
        if one.revision in self.fails:
            raise ValueError(one.revision)
        self.told.append(one.revision)


def test_they_are_told_in_order_by_one_call_at_a_time() -> None:
    world = World()
    world.effects.begin([event(1), event(2)])
    world.effects.add([event(3)])
    assert len(world.runner.calls) == 1
    world.runner.run()
    assert world.told == [1, 2, 3] and world.effects.done == (3, 0)
    world.effects.go_on()
    assert not world.runner.calls


def test_one_that_fails_holds_up_the_others_until_it_is_tried_again() -> None:
    world = World()
    world.fails.add(2)
    world.effects.begin([event(1), event(2), event(3)])
    world.runner.run()
    world.effects.add([event(4)])
    assert (world.told, world.effects.done, world.effects.is_failing) == ([1], (1, 0), True)
    assert not world.runner.calls, "it is not tried at once"
    world.fails.clear()
    world.effects.go_on()
    world.runner.run()
    assert world.told == [1, 2, 3, 4] and not world.effects.is_failing


def test_after_the_leadership_nothing_more_is_told_and_the_next_one_begins_anew() -> None:
    world = World()
    world.effects.begin([event(1), event(2)])
    world.effects.end()
    world.runner.run()
    assert world.told == []
    world.effects.begin([event(1)])
    world.effects.end()
    world.effects.begin([event(2), event(3)])
    world.runner.run()
    assert world.told == [2, 3] and world.effects.done == (3, 0)
