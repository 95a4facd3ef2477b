"""What happens to a fleet is a list of plain values: it can be kept, done again, and made smaller."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fleet.sim.faults.processes import Power
from fleet.sim.faults.schedule import KINDS, Occurrence, Plan
from fleet.sim.search.episode import Episode


@pytest.mark.parametrize("seed", [7, 19, 43])
def test_the_faults_of_a_seed_done_again_are_the_same_history_byte_for_byte(seed: int) -> None:
    drawn = Episode(seed, tracing=True).run()
    again = Episode(Plan.of_json(drawn.as_done().to_json()), tracing=True).run()
    assert again.world.lines == drawn.world.lines
    assert drawn.injector.done


def test_any_of_the_faults_may_be_left_out_and_everything_else_be_less() -> None:
    plan = Episode(19).run().as_done()
    assert plan.faults is not None
    less = replace(plan, faults=plan.faults[::2], duration_us=plan.duration_us // 2, nodes=3, clients=1,
                   groups=("g0",), has_weather=False, salt=1)  # fmt: skip
    episode = Episode(less).run()
    assert len(episode.world.nodes) == 3 and len(episode.loads) == 1 and list(episode.kinds) == ["g0"]


@pytest.mark.parametrize("what", KINDS)
def test_each_kind_of_fault_is_drawn_done_and_told(what: str) -> None:
    """Of a seed's own faults most are of few kinds."""
    episode = Episode(1, tracing=True)
    episode.found()
    injector, kind = episode.injector, KINDS[what]
    drawn = (kind.draw(injector.field) for _ in range(200))
    fault: Any = next(found for found in drawn if found is not None)
    assert injector.do(fault)
    words = Occurrence(3_210_000, fault).words()
    assert fault.what == what and words.startswith("at 3.210 s ") and not set("{}()[]'") & set(words)
    assert all(less.what == what for less in fault.milder())
    again = Plan.of_json(Plan(3, faults=(Occurrence(5, fault),)).to_json())
    assert again.faults == (Occurrence(5, fault),)
    episode.settle()


def test_a_fault_is_told_with_its_moments() -> None:
    assert Occurrence(3_210_000, Power("n2", 190_000)).words() == (
        "at 3.210 s node n2 loses power; it is back at 3.400 s"
    )
    assert [less.fault for less in Occurrence(0, Power("n2", 190_000)).milder()] == [
        Power("n2", 11_000), Power("n2", 47_000), Power("n2", 95_000),
    ]  # fmt: skip


def test_a_plan_that_names_no_fault_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        Plan.of_json('{"seed": 1, "faults": [[5, ["__init__"]]]}')
    with pytest.raises(msgspec.ValidationError):
        Plan.of_json('{"seed": 1, "faults": [[5, ["kill", "n1"]]]}')
