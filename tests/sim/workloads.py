"""Histories made by one true object: linearizable by construction, since each effect has its moment."""

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

from fleet.sim.checks.history import UNKNOWN, Operation
from fleet.sim.checks.models import (
    Add,
    All,
    Append,
    Cas,
    Counter,
    Dequeue,
    Enqueue,
    Fetch,
    Get,
    KeyValue,
    ListAppend,
    Model,
    Put,
    Queue,
    Read,
    Register,
    Remove,
    Scan,
    Write,
)

Pick = Callable[[Random, int], Any]


def unique_register(random: Random, n: int) -> Any:
    return random.choice((Read(), Read(), Write(n), Cas(n - 3, n)))


def few_values_register(random: Random, n: int) -> Any:
    a, b = random.randrange(4), random.randrange(4)
    return random.choice((Read(), Read(), Write(a), Cas(a, b)))


def counter(random: Random, n: int) -> Any:
    return random.choice((Get(), Add(1), Add(random.randrange(1, 4))))


def counter_both_ways(random: Random, n: int) -> Any:
    return random.choice((Get(), Add(random.randrange(-2, 3))))


def queue(random: Random, n: int) -> Any:
    return random.choice((Enqueue(n), Dequeue()))


def queue_of_few_values(random: Random, n: int) -> Any:
    return random.choice((Enqueue(n % 3), Dequeue()))


def list_append(random: Random, n: int) -> Any:
    return random.choice((Append(n), All()))


def key_value(random: Random, n: int) -> Any:
    key = random.choice("abc")
    return random.choice((Put(key, n % 5), Fetch(key), Fetch(key), Remove(key)))


def key_value_scanned(random: Random, n: int) -> Any:
    return random.choice((key_value(random, n), key_value(random, n), Scan()))


WORKLOADS: dict[str, tuple[Model, Pick]] = {
    "register, unique writes": (Register(), unique_register),
    "register, few values": (Register(), few_values_register),
    "counter": (Counter(), counter),
    "counter, both ways": (Counter(), counter_both_ways),
    "queue": (Queue(), queue),
    "queue, few values": (Queue(), queue_of_few_values),
    "list": (ListAppend(), list_append),
    "keys and values": (KeyValue(), key_value),
    "keys and values, scanned": (KeyValue(), key_value_scanned),
}


def simulate(
    model: Model, pick: Pick, count: int, clients: int, seed: int, lost: float = 0.0
) -> list[Operation]:
    """`lost`: the share of operations whose client gives up; six of ten of these take effect, often late."""
    random = Random(seed)
    state, moment, made = model.start, 0, 0
    rows: list[dict[str, Any]] = []
    todo: list[tuple[float, int, str, dict[str, Any]]] = []
    for client in range(clients):
        heapq.heappush(todo, (random.random(), client, "call", {}))
    while todo:
        now, client, what, row = heapq.heappop(todo)
        moment += 1
        if what == "call" and made < count:
            made += 1
            row = {"process": client, "call_at": moment, "input": pick(random, made)}
            row |= {"return_at": None, "output": UNKNOWN}
            rows.append(row)
            effect_at = now + random.expovariate(1)
            if random.random() < lost:
                if random.random() < 0.6:
                    heapq.heappush(todo, (effect_at + random.expovariate(0.1), client, "lost effect", row))
                heapq.heappush(todo, (effect_at, client, "call", {}))
            else:
                heapq.heappush(todo, (effect_at, client, "effect", row))
        elif what == "effect":
            row["answer"], state = model.apply(state, row["input"])
            heapq.heappush(todo, (now + random.expovariate(1), client, "return", row))
        elif what == "lost effect":
            _, state = model.apply(state, row["input"])
        elif what == "return":
            row |= {"return_at": moment, "output": row.pop("answer")}
            heapq.heappush(todo, (now + random.expovariate(5), client, "call", {}))
    return [Operation(key="x", **row) for row in rows]
