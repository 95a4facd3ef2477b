"""Who may send what: the table, and how it is applied."""

import importlib
import logging
import pickle
import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from msgspec.structs import replace

from fleet.actors.base import wire
from fleet.actors.base.addresses import ActorId, Address
from fleet.actors.base.handshake import NO_ROLES, Refused
from fleet.actors.base.role_secrets import Limited
from fleet.actors.messages.client import ClientReply, ClientRequest, KeepWatch, WatchGroup, WatchReply
from fleet.actors.messages.operator import (
    CheckClass,
    GetStatus,
    GroupOp,
    GroupRequest,
    ListNodes,
    NodeOp,
    NodeRequest,
    OpReply,
    SetSecrets,
    SkipCommand,
)
from fleet.actors.messages.peer import PeerMail
from fleet.actors.messages.well_known import MANAGER, REGISTRY
from fleet.actors.node import allowed
from fleet.actors.node.allowed import CLUSTER_CALLS, ENVELOPES, GROUP_OPS, MESSAGES, NODE_OPS, Rule
from fleet.actors.node.gate import Gates, NotForRoles, RoleGate
from fleet.cluster.commands import Cluster
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import NotAllowed
from fleet.objects.class_refs import ClassRef, encode_class
from fleet.objects.declare import Data, shape_of
from fleet.objects.keyed import keyed_payload
from fleet.objects.payload import encode_call
from fleet.raft.config import GroupConfig
from fleet.raft.ids import MemberId
from fleet.roles import CALLER, DEPLOY, OPERATOR, READER, ROLES, Claim, claim_of, encode_claim
from tests.house.test_layers import ROOT, modules
from tests.support.classes import Counter

ME = Address(ActorId("", 4711, 7))
PLAIN = encode_call("add", (1, "text", [2.5, None]), {"k": {1, 2}})
GROUP = "acct/1"


def gate(role: str, *groups: str, modules: tuple[str, ...] = ()) -> RoleGate:
    limited = Limited(encode_claim(claim_of(role, groups)), "f00d", 0.0, b"", b"")
    return Gates(modules).admit(limited)


def request(group: str = GROUP, commands: Any = (), queries: Any = (), **others: Any) -> ClientRequest:
    return ClientRequest(
        group,
        "me",
        ME,
        1,
        0,
        others.get("opens", False),
        1,
        commands,
        1,
        queries,
        9,
        others.get("closes", False),
    )


def error_of(verdict: Any) -> NotAllowed | None:
    reply = verdict.reply
    if reply is None:
        return None
    assert verdict.reply_to in (ME, None)
    record = reply.refusals[0].error if isinstance(reply, ClientReply) else reply.error
    error = record.to_error()
    assert isinstance(error, NotAllowed)
    return error


def may(gate: RoleGate, message: Any, dst: str = REGISTRY) -> bool:
    verdict = gate(dst, ME, message)
    marked = replace(message, has_role=True) if isinstance(message, ClientRequest) else message
    assert (verdict.passed == marked) == (verdict.reply is None)
    return bool(verdict.passed == marked)


# -- the table --------------------------------------------------------------------------------------


def test_each_message_of_a_link_is_in_the_table() -> None:
    for name, _ in modules():
        if name.startswith(("fleet.actors", "fleet.cluster")):
            importlib.import_module(name)
    ours = {kind for kind in wire._types.values() if kind.__module__.startswith("fleet.")}
    assert ours == {*ENVELOPES, *MESSAGES}
    assert set(NODE_OPS) == set(get_args(NodeOp)) and set(GROUP_OPS) == set(get_args(GroupOp))
    shape = shape_of(Cluster)
    assert set(CLUSTER_CALLS) == {*shape.commands, *shape.queries}


def rules() -> Iterator[tuple[str, Rule]]:
    """Every row of the table by its name in the documentation."""
    yield "queries", allowed.QUERIES
    yield "commands", allowed.COMMANDS
    yield "arguments that are not plain", allowed.ANY_ARGUMENTS
    yield "classes by value, or not of `data.modules`", allowed.ANY_CLASS
    for kind, rule in (*MESSAGES.items(), *NODE_OPS.items(), *GROUP_OPS.items()):
        yield f"`{kind.__name__}`", rule
    for method, rule in CLUSTER_CALLS.items():
        yield f"`{method}` of the cluster", rule


def test_the_documentation_has_the_table() -> None:
    section = (ROOT / "fleet" / "docs" / "security.md").read_text().split("\n## Who may send what\n")[1]
    told: dict[str, tuple[str, ...]] = {}
    for line in re.findall(r"^\| (.*) \|$", section.split("\n## ")[0], re.M)[1:]:
        names, *cells = line.split(" | ")
        for name in re.sub(r" of the cluster$", "", names).split(", ") if "`" in names[:1] else [names]:
            whole = f"{name} of the cluster" if names.endswith(" of the cluster") else name
            told[whole] = tuple(cells)
    scopes = {allowed.ANYWHERE: "anywhere", allowed.IN_GROUP: "its groups", allowed.IN_CLUSTER: "all groups"}
    there = {
        name: tuple(
            (scopes[rule.scope] if role in rule.roles else "–") for role in (READER, CALLER, DEPLOY, OPERATOR)
        )
        for name, rule in rules()
    }
    assert told == there


def test_roles_include_what_their_names_say() -> None:
    for name, rule in rules():
        if READER in rule.roles:
            assert {*rule.roles} == set(ROLES), name
        if CALLER in rule.roles:
            assert DEPLOY in rule.roles, name
    secrets = NODE_OPS[SetSecrets]
    assert secrets.roles == (), "whoever may set a secret may make himself a node"


# -- calls -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_calls_by_role(role: str) -> None:
    one = gate(role)
    assert may(one, request(queries=(PLAIN,)))
    for message in (request(commands=(PLAIN,)), request(opens=True), request(closes=True)):
        assert may(one, message) == (role in (CALLER, DEPLOY))
    assert may(one, WatchGroup(GROUP, "me", ME, 1, None, None)) and may(
        one, KeepWatch(GROUP, "me", ME, 1, 1, True)
    )


@pytest.mark.parametrize("role", ROLES)
def test_groups_of_others_are_out_of_reach(role: str) -> None:
    one = gate(role, "acct/*", "rates")
    for group, is_covered in (
        ("acct/1", True),
        ("acct/", True),
        ("rates", True),
        ("rates2", False),
        ("acct", False),
    ):
        assert may(one, request(group, queries=(PLAIN,))) == is_covered
        assert may(one, WatchGroup(group, "me", ME, 1, None, None)) == is_covered
        if role in (CALLER, DEPLOY):
            assert may(one, request(group, commands=(PLAIN,))) == is_covered
        if role == OPERATOR:
            assert may(one, GroupRequest(1, ME, group, SkipCommand(1))) == is_covered
        assert may(one, GroupRequest(1, ME, group, GetStatus()))
    assert not may(one, WatchGroup(CLUSTER_GROUP, "me", ME, 1, None, None))
    star = gate(role, "fleet*", "*")
    assert star.claim == Claim(role), "all groups"


def test_a_refusal_says_who_needs_what() -> None:
    error = error_of(gate(READER, "acct/*")(REGISTRY, ME, request(commands=(PLAIN,))))
    assert error is not None
    facts = {"role": "reader", "groups": "acct/*", "group": GROUP, "needs": "caller or deploy"}
    assert error.facts == facts and "may not send commands" in error.what and "derive" in error.hint
    error = error_of(gate(CALLER, "acct/*")(REGISTRY, ME, request("x", commands=(PLAIN,))))
    assert error is not None and "elsewhere" in error.what and error.facts["group"] == "x"


def test_a_refusal_is_of_the_calls_that_are_not_allowed() -> None:
    """A client's calls of one turn come together: another thread's queries are none the worse."""
    message = request(commands=(PLAIN, PLAIN), queries=(PLAIN,), opens=True, closes=True)
    passed, reply, reply_to = gate(READER)(REGISTRY, ME, message)
    assert passed.queries == (PLAIN,) and passed.number == message.number
    assert (passed.commands, passed.opens, passed.closes) == ((), False, False)
    (refusal,) = reply.refusals
    assert (refusal.seqs, refusal.queries, refusal.opens, refusal.number) == ((1, 2), (), True, 9)
    assert not refusal.lost and refusal.session == 1 and reply_to == ME
    passed, reply, _ = gate(CALLER)(REGISTRY, ME, request(commands=(PLAIN,), queries=(b"bad",)))
    assert passed.commands == (PLAIN,) and passed.queries == ()
    assert [(one.seqs, one.queries) for one in reply.refusals] == [((), (1,))]
    passed, reply, _ = gate(CALLER)(REGISTRY, ME, request(commands=(b"bad",), queries=(b"bad",)))
    assert passed is None and len(reply.refusals) == 2


class Bomb:
    def __reduce__(self) -> Any:
        return (print, ("never",))


BOMB = encode_call("add", (Bomb(),), {})


@pytest.mark.parametrize("role", ROLES)
def test_arguments_that_bring_code_are_for_who_may_deploy(role: str) -> None:
    keyed = keyed_payload("key", 0, BOMB, "add", (), {})
    hidden = b"\x06" + BOMB
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(hidden)  # which is what a class would do with it whose calls are pickles
    for payload in (BOMB, keyed, b"", b"x", b"\x09" + BOMB, BOMB[:-1], PLAIN + BOMB):
        assert may(gate(role), request(commands=(PLAIN, payload))) == (role == DEPLOY)
        assert may(gate(role), request(queries=(payload,))) == (role == DEPLOY)
    for payload in (PLAIN, keyed_payload("key", 0, PLAIN, "add", (), {})):
        assert may(gate(CALLER), request(commands=(payload,)))


# -- groups ------------------------------------------------------------------------------------------


def cluster(method: str, *args: Any, **kwargs: Any) -> bytes:
    return Cluster.__fleet_codec__.encode_call(method, args, kwargs)


def adding(data_class: bytes, name: str = GROUP, **kwargs: Any) -> ClientRequest:
    return request(CLUSTER_GROUP, (cluster("add_group", name, 3, data_class, GroupConfig(), **kwargs),))


def by_value() -> bytes:
    class Local(Data):
        pass

    return encode_class(Local)


REFERENCE = encode_class(Counter)
MODULE = Counter.__module__
BUILT_IN = encode_class(Cluster)


def forged(payload: bytes) -> bytes:
    """A class that says that it is imported, and brings something else."""
    import msgspec

    return msgspec.msgpack.encode(ClassRef("Counter", MODULE, payload))


@pytest.mark.parametrize("role", ROLES)
def test_classes_by_role(role: str) -> None:
    deploys, calls = role == DEPLOY, role in (CALLER, DEPLOY)
    pickled = pickle.dumps(Bomb(), 5)
    others = [
        by_value(),
        forged(pickled),
        forged(pickle.dumps(Counter, 5) + pickled),
        forged(pickle.dumps(Data, 5)),
    ]
    for known in ((), (MODULE,), ("tests.support",), ("tests",)):
        one = gate(role, "acct/*", modules=known)
        for data_class, is_allowed in (
            (BUILT_IN, calls),
            (REFERENCE, deploys or calls and bool(known)),
            *((other, deploys) for other in others),
        ):
            assert may(one, NodeRequest(1, ME, CheckClass(data_class)), MANAGER) == is_allowed
            assert may(one, adding(data_class)) == is_allowed
    for name in ("tests.supp", "tests.support.classes.Counter", "support"):
        assert may(gate(role, modules=(name,)), adding(REFERENCE)) == deploys
    assert not may(gate(role, "acct/*"), adding(BUILT_IN, "other"))
    assert may(gate(role), adding(BUILT_IN, restored_on=("n1",))) == deploys


def test_a_class_that_is_none_is_refused() -> None:
    verdict = gate(CALLER)(MANAGER, ME, NodeRequest(1, ME, CheckClass(b"nonsense")))
    assert verdict.passed is None and verdict.reply.error.kind == "DataClassUnavailable"


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("remove_group", ("acct/1",)),
        ("set_replicas", ("acct/1", 3)),
        ("pin_group", ("acct/1", ())),
        ("prefer_leader", ("acct/1", "n1")),
    ],
)
def test_commands_about_groups_are_for_operators_of_these(method: str, args: tuple[Any, ...]) -> None:
    message = request(CLUSTER_GROUP, (cluster(method, *args),))
    named = request(CLUSTER_GROUP, (cluster(method, *args[1:], name=args[0]),)) if len(args) == 1 else message
    assert may(gate(OPERATOR), message) and may(gate(OPERATOR, "acct/*"), message)
    assert may(gate(OPERATOR, "acct/*"), named)
    assert not may(gate(OPERATOR, "other/*"), message) and not may(gate(OPERATOR, "other/*"), named)
    assert not may(gate(CALLER), message) and not may(gate(READER), message)


def test_commands_about_nodes_are_for_operators_of_everything() -> None:
    purge = request(CLUSTER_GROUP, (cluster("purge", "n1"),))
    assert may(gate(OPERATOR), purge)
    for role, groups in ((OPERATOR, ("acct/*",)), (DEPLOY, ()), (CALLER, ()), (READER, ())):
        assert not may(gate(role, *groups), purge)
    join = request(CLUSTER_GROUP, (cluster("join", "n9", "x", "z", "h:1", 1.0, "active"),))
    assert not any(may(gate(role), join) for role in ROLES)


@pytest.mark.parametrize(
    "payload",
    [cluster("purge"), cluster("view"), cluster("view", 1, 2), cluster("none"), b"", PLAIN, BOMB],
)
def test_what_is_no_call_of_the_cluster_goes_nowhere(payload: bytes) -> None:
    for role in ROLES:
        assert gate(role)(REGISTRY, ME, request(CLUSTER_GROUP, queries=(payload,))).passed is None


def test_everybody_sees_which_nodes_and_groups_there_are() -> None:
    for role in ROLES:
        one = gate(role, "acct/*")
        assert may(one, request(CLUSTER_GROUP, queries=(cluster("view", 0),)))
        assert may(one, NodeRequest(0, None, ListNodes()), MANAGER)


# -- what honest processes do not send ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dst", "message"),
    [
        (REGISTRY, PeerMail(MemberId("n1@a.1"), b"")),
        (MANAGER, OpReply(1, None)),
        (REGISTRY, ClientReply(GROUP, 1, (), (), ())),
        (REGISTRY, WatchReply(GROUP, 1, 1)),
        (MANAGER, "a text"),
        (MANAGER, None),
        (17, request(queries=(PLAIN,))),  # to a member, which would take it to be about its own group
        ("elsewhere", request(queries=(PLAIN,))),
    ],
)
def test_it_ends_the_link(dst: Any, message: Any) -> None:
    for role in ROLES:
        with pytest.raises(NotForRoles):
            gate(role)(dst, ME, message)


@pytest.mark.parametrize(
    "other",
    [ActorId("", 4712, 7), ActorId("here:1", 4711, 7), ActorId("here:1", 0, MANAGER), ActorId("", 0, 7)],
)
def test_replies_go_to_nobody_else(other: ActorId) -> None:
    message = NodeRequest(1, Address(other), ListNodes())
    with pytest.raises(NotForRoles, match="reply"):
        gate(OPERATOR)(MANAGER, ME, message)


@pytest.mark.parametrize(
    "rights", [b"", b"\xc1", encode_claim(Claim("king")), encode_claim(Claim(CALLER, ("a*b",)))]
)
def test_rights_that_are_not_known_are_none(rights: bytes) -> None:
    with pytest.raises(Refused) as refused:
        Gates().admit(Limited(rights, "f00d", 0.0, b"", b""))
    assert refused.value.reason == NO_ROLES


def test_the_audit_log_has_refusals_and_what_operators_do(caplog: pytest.LogCaptureFixture) -> None:
    one = gate(OPERATOR)
    with caplog.at_level(logging.INFO, logger="fleet.audit"):
        may(one, GroupRequest(1, ME, GROUP, SkipCommand(1)))
        may(one, GroupRequest(1, ME, GROUP, GetStatus()))
        may(one, request(CLUSTER_GROUP, (cluster("purge", "n1"),)))
        for _ in range(5):
            may(one, request("evil\nline", commands=(PLAIN,)))
    done, purged, *refused = caplog.messages
    assert "operator (f00d)" in done and "SkipCommand" in done and GROUP in done
    assert "purge" in purged
    assert len(refused) == 3 and all("evil\\nline" in line and "\n" not in line for line in refused)
