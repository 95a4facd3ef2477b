"""Which pickles hold plain values alone."""

import datetime
import decimal
import io
import pickle
import pickletools
import random
import time
from typing import Any

import pytest

from fleet.objects.payload import encode_call
from fleet.objects.plain_pickle import VALUES_MAX, is_plain, values_in


def plain(rng: random.Random, depth: int) -> Any:
    """A plain value of any kind."""
    kind = rng.choice(KINDS if depth else KINDS[:6])
    return kind(rng, depth - 1)


def hashable(rng: random.Random, depth: int) -> Any:
    return rng.choice(KINDS[:6])(rng, depth)


def some(rng: random.Random, depth: int) -> list[Any]:
    return [plain(rng, depth) for _ in range(rng.choice((0, 1, 2, 3, 4, 9)))]


KINDS: list[Any] = [
    lambda rng, depth: rng.choice((None, True, False)),
    lambda rng, depth: rng.choice((-1, 1)) * rng.getrandbits(rng.choice((1, 8, 16, 31, 32, 64, 900))),
    lambda rng, depth: rng.choice((0.0, -1.5, 1e300, float("inf"))),
    lambda rng, depth: "".join(rng.choices("aB.R\xe9\u20ac", k=rng.choice((0, 1, 20, 255, 256)))),
    lambda rng, depth: rng.randbytes(rng.choice((0, 1, 255, 256, 3000))),
    lambda rng, depth: tuple(hashable(rng, depth) for _ in range(rng.choice((0, 1)))),
    lambda rng, depth: tuple(some(rng, depth)),
    some,
    lambda rng, depth: {hashable(rng, depth): one for one in some(rng, depth)},
    lambda rng, depth: {hashable(rng, depth) for _ in range(rng.randrange(5))},
    lambda rng, depth: frozenset(hashable(rng, depth) for _ in range(rng.randrange(5))),
]


def test_what_pickle_makes_of_plain_values_is_plain() -> None:
    rng = random.Random(3)
    for _ in range(1000):
        call = ("method", tuple(some(rng, 4)), {"key": plain(rng, 3)})
        for protocol in (4, 5):
            assert is_plain(pickle.dumps(call, protocol)), call


LONG = [
    "x" * 300,
    b"y" * 300,
    "z" * 70_000,
    b"z" * 70_000,
    10**400,
    10**1000,
    list(range(3000)),
    bytearray(9),
]


@pytest.mark.parametrize("value", LONG, ids=lambda value: f"{type(value).__name__} {len(str(value))}")
def test_long_values_are_plain_too(value: Any) -> None:
    assert is_plain(encode_call("method", (value, {"key": [value, value]}), {}))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("BINUNICODE8", 8),
        ("BINBYTES8", 8),
        ("BYTEARRAY8", 8),
        ("LONG4", 4),
        ("BINBYTES", 4),
        ("BINUNICODE", 4),
    ],
)
def test_what_is_only_written_for_very_long_values_is_plain(name: str, size: int) -> None:
    data = b"\x80\x05" + getattr(pickle, name) + (3).to_bytes(size, "little") + b"abc."
    assert pickle.loads(data) and is_plain(data)
    assert not is_plain(data[:-1]) and not is_plain(data[:-2] + b".")


class Innocent:
    def __reduce__(self) -> Any:
        return (print, ("never",))


OTHERS = [datetime.date(2026, 1, 2), decimal.Decimal(1), Innocent(), Innocent, print, complex(1, 2), range(3)]


@pytest.mark.parametrize("value", OTHERS, ids=lambda value: type(value).__name__)
def test_values_that_name_a_class_or_a_function_are_not(value: Any) -> None:
    assert not is_plain(pickle.dumps(("method", (value,), {}), 5))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\x05",
        b"cos\nsystem\n(S'id'\ntR.",
        b"\x80\x05cos\nsystem\n.",
        b"\x80\x05\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x05N.cos\nsystem\n.",  # behind the end
        b"\x80\x05\x8c\xff.",  # a text that is not there
        b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x80\x05r\xff\xff\xff\xff.",  # a place in a table of four thousand million
        b"\x80\x02N.",
        b"\x80\x06N.",
        b"\x80\x05Ppersistent\n.",
        b"\x80\x05\x82\x01.",
        b"\x80\x05\x97.",
        b"\x80\x05}b.",
        b"\x80\x05)\x81.",
        b"\x80\x05(oios\nsystem\n.",
    ],
)
def test_what_else_a_pickle_can_do_is_not_plain(data: bytes) -> None:
    assert not is_plain(data)


def doubled(levels: int, start: Any, twice: Any) -> bytes:
    """A small pickle of a value with 2 ** levels parts."""
    value = start
    for _ in range(levels):
        value = twice(value)
    return pickle.dumps(("method", (value,), {}), 5)


DOUBLED: list[Any] = [
    lambda value: (value, value),
    lambda value: [value, value],
    lambda value: {"a": value, "b": value},
    lambda value: ([value], [value]),
]


@pytest.mark.parametrize("twice", DOUBLED)
def test_a_value_that_grows_as_it_is_walked_through_is_not_plain(twice: Any) -> None:
    """The hash of such a tuple took for ever, and its comparison."""
    assert len(doubled(60, (), twice)) < 1500
    assert not is_plain(doubled(60, (), twice)) and not is_plain(doubled(20, ["x"], twice))
    assert is_plain(doubled(5, ("x", 1), twice))


def test_a_list_that_is_filled_after_it_was_shared_is_not_taken_for_a_small_one() -> None:
    inner: list[Any] = []
    row = (inner,) * 8
    value: Any = [(row,) * 8] * 8
    assert is_plain(pickle.dumps(value, 5)) is False
    opened = b"\x80\x05]K\x01a\x94" + b"h\x00" * 30 + b"."  # made known only when something is in it
    assert not is_plain(opened)


def test_values_that_are_shared_a_few_times_are_plain() -> None:
    pair, row, text = (0, 0), [0, 1], "x" * 300
    assert is_plain(encode_call("method", ([pair] * 5000, {pair: pair}), {}))
    assert is_plain(encode_call("method", (row, [row] * 8), {}))
    assert is_plain(encode_call("method", ([text, b"z" * 70_000] * 5000,), {}))
    assert not is_plain(b"\x80\x05h\x00.")


def test_a_long_row_of_operations_is_not_looked_at_to_its_end() -> None:
    """A query of 60 million of them stopped a node for seconds."""
    assert is_plain(pickle.dumps([None] * (VALUES_MAX - 500), 5))
    data = b"\x80\x05(" + b"N" * 10_000_000 + b"t."
    since = time.process_time()
    assert values_in(data) == VALUES_MAX + 1 and not is_plain(data)
    assert time.process_time() - since < 0.5


class Watched(pickle.Unpickler):
    """Says so instead of looking up a class."""

    def find_class(self, module: str, name: str) -> Any:
        raise AssertionError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise AssertionError("persistent")


def test_each_operation_is_as_long_as_pickle_takes_it() -> None:
    """Else what is an operand here would be an operation there."""
    rng, passed = random.Random(7), 0
    seeds = [encode_call("add", (5, "text", b"R\x93c", {1, 2}, [1.5, None]), {"k": (1, 2, 3)})]
    seeds += [pickle.dumps(value, 5) for value in (*OTHERS, {"a": 2**70}, ["x" * 300])]
    codes = [ord(one.code) for one in pickletools.opcodes]
    for _ in range(15_000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(2, len(data) - 1)
            if rng.random() < 0.6:
                data[at] = rng.choice(codes)
            else:
                data[at:at] = bytes(rng.choice(codes) for _ in range(rng.choice((1, 2, 9))))
        if is_plain(bytes(data)):
            passed += 1
            try:
                Watched(io.BytesIO(data)).load()
            except AssertionError:
                raise AssertionError(bytes(data)) from None
            except Exception:  # an invalid one, which loads nothing
                continue
    assert passed > 300
