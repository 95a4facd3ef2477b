"""What befalls a fleet is a list of plain values: it can be kept, done again, and made smaller."""

import inspect

import msgspec
import pytest
from msgspec.structs import replace

from fleet.sim.faults.carry_out import FaultActions
from fleet.sim.faults.draw import FaultInjector
from fleet.sim.faults.schedule import FAULTS, Fault, Plan, in_words, milder
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
    assert len(episode.world.nodes) == 3 and len(episode.loads) == 1 and list(episode.groups) == ["g0"]


def test_each_kind_of_fault_can_be_drawn_done_and_told() -> None:
    examples = {
        "names": ("n1", "c1"), "node": "n2", "other": "n3", "inward": True, "us": 200_000, "back_us": 190_000,
        "steps": (("n1", 10_000), ("n2", 20_000)), "power": True, "sides": (0, 1), "chance": 0.1,
        "key": "00", "byte": 1, "bit": 1, "per_mille": 960, "signed_us": -5_000_000, "group": "g0",
        "state": "leaving", "actor": "registry", "message": "PeerMail", "silently": True, "elsewhere": True,
    }  # fmt: skip
    for what, names in FAULTS.items():
        fault = Fault(3_210_000, what, tuple(examples[name] for name in names))
        assert len(inspect.signature(getattr(FaultActions, what)).parameters) >= 1 + len(names)
        assert callable(getattr(FaultInjector, what))
        words = in_words(fault)
        assert words.startswith("at 3.210 s ") and not set("{}()[]'") & set(words)
        assert all(less.what == what for less in milder(fault))
    assert in_words(Fault(3_210_000, "power", ("n2", 190_000))) == (
        "at 3.210 s node n2 loses power; it is back at 3.400 s"
    )


def test_a_plan_that_names_no_fault_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        Plan.of_json('{"seed": 1, "faults": [[5, "__init__", []]]}')
    with pytest.raises(msgspec.ValidationError):
        Plan.of_json('{"seed": 1, "faults": [[5, "kill", ["n1"]]]}')
