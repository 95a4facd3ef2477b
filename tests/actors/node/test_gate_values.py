"""How much of the arguments of peers with a role is judged."""

from typing import Any

from fleet.actors.messages.well_known import REGISTRY
from fleet.objects.payload import encode_call
from fleet.objects.plain_pickle import VALUES_MAX
from fleet.roles import READER
from tests.actors.node.test_gate import BOMB, ME, error_of, gate, may, request


def test_calls_of_too_many_values_are_refused_with_words() -> None:
    one = gate(READER)
    pair: Any = ()
    for _ in range(60):
        pair = (pair, pair)
    for argument in ([None] * (VALUES_MAX + 1), {0: pair}):
        error = error_of(one(REGISTRY, ME, request(queries=(encode_call("add", (argument,), {}),))))
        assert error is not None and "100000 values" in error.what and error.facts["needs"] == "deploy"
    assert may(one, request(queries=(encode_call("add", ([None] * (VALUES_MAX // 2),), {}),)))


def test_of_a_frame_of_many_values_some_are_to_be_sent_again() -> None:
    """Else judging them would keep the node from everything else."""
    one, many = gate(READER), encode_call("add", ([None] * (VALUES_MAX - 500),), {})
    verdicts = [one(REGISTRY, ME, request(queries=(many,))) for _ in range(25)]
    refusals = [verdict.reply.refusals[0] for verdict in verdicts if verdict.reply is not None]
    assert 0 < len(refusals) < 4 and {refusal.error.kind for refusal in refusals} == {"Unavailable"}
    one.begin_frame()
    assert may(one, request(queries=(many,)))
    for bad in (encode_call("add", ([None] * (2 * VALUES_MAX),), {}), BOMB * 2000):
        one.begin_frame()
        verdicts = [one(REGISTRY, ME, request(queries=(bad,))) for _ in range(100)]
        kinds = [verdict.reply.refusals[0].error.kind for verdict in verdicts]
        assert {*kinds[:20]} == {"NotAllowed"} and {*kinds[50:]} == {"Unavailable"}
