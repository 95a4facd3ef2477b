"""`check` makes up arguments by type, names what it cannot make up, and finds what cannot be encoded."""

import dataclasses
import random
from typing import Any

import pytest
from hypothesis import strategies as st

import fleet
from fleet.errors import ConfigError
from fleet.testing import CheckFailed, check
from fleet.testing.arguments import Drawer
from fleet.testing.values import Maker
from tests.testing import orders
from tests.testing.accounts import Account, UnseededRandom


def test_arguments_of_many_types_are_made_up_and_arrive_as_their_types() -> None:
    shop = orders.Shop()
    rng = random.Random(1)
    for name, draw in drawer_of(orders.Shop).commands.items():
        for _ in range(100):
            args, kwargs = draw(rng)
            getattr(shop, name)(*args, **kwargs)
    assert len(shop.orders) > 3
    assert any(order.to for order in shop.orders.values())
    assert any(order.parts for order in shop.orders.values())


def drawer_of(cls: type[fleet.Data], **given: Any) -> Drawer:
    return Drawer(cls, given.get("calls", {}), given.get("values", {}))


def test_a_class_with_arguments_of_many_types_is_checked_in_other_processes_too() -> None:
    check(orders.Shop, seeds=3, hash_seeds=(1, 2))


def test_what_cannot_be_changed_may_be_kept() -> None:
    check(orders.KeptColour, seeds=3, hash_seeds=())


def test_a_seed_makes_up_the_same_arguments_again() -> None:
    drawers = [drawer_of(orders.Shop) for _ in range(2)]
    first, again = (
        [drawer.commands["place"](random.Random(seed)) for seed in range(20)] for drawer in drawers
    )
    assert first == again and first[0] != first[1]


def test_what_cannot_be_made_up_is_named_with_its_path_and_the_remedy() -> None:
    with pytest.raises(ConfigError) as caught:
        check(orders.SentGuarded, seeds=1)
    assert str(caught.value).startswith(
        "SentGuarded.send: parameter parcel: Parcel.guard: no value of Guarded can be made up; "
        "say how: check(SentGuarded, values={Guarded: ...}), where ... is a function such as "
        "lambda rng: rng.randint(1, 9), or a strategy of hypothesis"
    )


def guarded(rng: random.Random) -> orders.Guarded:
    return orders.Guarded(rng.randint(1, 9))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "given",
    [
        {"values": {orders.Guarded: guarded}},
        {"values": {orders.Guarded: st.builds(orders.Guarded, lock=st.integers(0, 9))}},
        {
            "values": {
                "parcel": st.builds(orders.Parcel, st.none(), st.builds(orders.Guarded, lock=st.none()))
            }
        },
        {
            "calls": {
                "send": st.tuples(st.builds(orders.Parcel, st.none(), st.builds(orders.Guarded, st.none())))
            }
        },
    ],
)
def test_the_remedies_work(given: dict[str, Any]) -> None:
    check(orders.SentGuarded, seeds=2, hash_seeds=(), **given)
    parcels = [
        drawer_of(orders.SentGuarded, **given).commands["send"](random.Random(n))[0][0] for n in (1, 2)
    ]
    assert all(isinstance(parcel.guard, orders.Guarded) for parcel in parcels)


def test_a_name_that_is_no_parameter_is_refused() -> None:
    with pytest.raises(ConfigError, match="no method of Account has a parameter 'sense'"):
        check(Account, values={"sense": st.integers()})


def test_a_class_that_accepts_none_of_its_values_is_named() -> None:
    def refuse() -> None:
        raise ValueError("never")

    class Never(orders.Even):
        def __post_init__(self) -> None:
            refuse()

    with pytest.raises(
        ConfigError, match=r"Never accepts none of 50 values .*never.* values=\{Never: \.\.\.\}"
    ):
        Maker().draw(Never)(random.Random(1))


def test_an_unknown_type_in_a_union_or_with_a_default_is_left_out() -> None:
    @dataclasses.dataclass
    class Box:
        size: int
        guard: orders.Guarded = dataclasses.field(default_factory=lambda: guarded(random.Random(5)))

    draw = Maker().draw(orders.Guarded | int)
    assert {type(draw(random.Random(seed))) for seed in range(20)} == {int}
    draw = Maker().draw(Box)
    assert {draw(random.Random(seed)).guard.lock for seed in range(20)} == {guarded(random.Random(5)).lock}


def test_hypothesis_makes_up_what_it_knows_and_check_does_not() -> None:
    class Box:
        def __init__(self, size: int) -> None:
            self.size = size

    assert isinstance(Maker().draw(Box)(random.Random(1)).size, int)


# -- what cannot be encoded ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "what"),
    [
        (
            orders.LockResult,
            r"give\(\): its result cannot be encoded: the result\['orders'\]\[1\].lock \(lock\): ",
        ),
        (orders.LockOfQuery, r"give\(\): its result cannot be encoded: the result\[1\] \(lock\): "),
        (orders.LockRejected, r"give\(\): its result cannot be encoded: the value of Reject\[0\] \(lock\): "),
        (
            orders.LockInState,
            r"the state of LockInState .*\n  the part: self.parcels\['a'\]\[0\].lock \(lock\): ",
        ),
        (orders.BadResult, r"give\(\): the result cannot be loaded here: ValueError"),
    ],
)
def test_what_cannot_be_encoded_is_named_by_its_place(cls: type[fleet.Data], what: str) -> None:
    with pytest.raises(CheckFailed, match=what):
        check(cls, seeds=3, hash_seeds=())


# -- what differs from member to member ----------------------------------------------------------------


def test_the_local_time_zone_is_found_by_another_process() -> None:
    with pytest.raises(CheckFailed, match=r"hour\(\) differs(.|\n)*TZ=UTC0(.|\n)*TZ=JST-9"):
        check(orders.LocalTime, seeds=1, hash_seeds=(1, 1))


@pytest.mark.parametrize(
    ("cls", "what"),
    [
        (
            orders.BornNow,
            r"a new object differs from member to member: BornNow.__init__ uses time.time\(\): ",
        ),
        (
            orders.Wary,
            r"Wary: Wary.look uses os.environ in line \d+ of tests.testing.orders: .* as an argument\n",
        ),
        (
            UnseededRandom,
            r"UnseededRandom.draw uses random.random\(\) in line \d+ of .*; use fleet.ctx.random\n",
        ),
    ],
)
def test_what_an_impure_class_reads_is_named(cls: type[fleet.Data], what: str) -> None:
    with pytest.raises(CheckFailed, match=what) as caught:
        check(cls, seeds=10, hash_seeds=())
    assert isinstance(caught.value.__cause__, fleet.errors.ImpureCommand)


def test_strict_false_leaves_it_to_the_comparison() -> None:
    check(orders.Wary, seeds=2, hash_seeds=(), strict=False)
    with pytest.raises(CheckFailed, match="goes on differently"):
        check(UnseededRandom, seeds=5, hash_seeds=(), strict=False)
