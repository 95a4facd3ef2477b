"""Judges what processes with a role secret send to this node, by the table in `allowed`."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from inspect import Signature, signature
from typing import Any, ClassVar

from msgspec.structs import replace

from fleet.actors.base.addresses import Address, LocalId
from fleet.actors.base.handshake import NO_ROLES, Refused
from fleet.actors.base.limited import Verdict
from fleet.actors.base.role_secrets import Limited
from fleet.actors.messages.client import (
    ClientReply,
    ClientRequest,
    KeepWatch,
    Refusal,
    WatchGroup,
    WatchReply,
)
from fleet.actors.messages.operator import CheckClass, GroupRequest, NodeRequest, OpReply
from fleet.actors.messages.well_known import MANAGER, REGISTRY
from fleet.actors.node.allowed import (
    ANY_ARGUMENTS,
    ANY_CLASS,
    ANYWHERE,
    BRING_CODE,
    CLUSTER_CALLS,
    COMMANDS,
    GROUP_OPS,
    IN_CLUSTER,
    IN_GROUP,
    MESSAGES,
    NODE_OPS,
    NODES_ONLY,
    QUERIES,
    SESSIONS,
    Rule,
)
from fleet.cluster.commands import Cluster
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import BadArguments, ConfigError, FleetError, NotAllowed, Unavailable
from fleet.objects.class_refs import class_name, module_of
from fleet.objects.declare import shape_of
from fleet.objects.keyed import without_key
from fleet.objects.payload import PACKED, TYPED, ErrorRecord
from fleet.objects.plain_pickle import VALUES_MAX, values_in
from fleet.roles import Claim, decode_claim

audit = logging.getLogger("fleet.audit")

_methods = shape_of(Cluster).commands | shape_of(Cluster).queries
_signatures: dict[str, Signature] = {name: signature(function) for name, function in _methods.items()}
_NO_PICKLES = frozenset(bytes((mark,)) for mark in (PACKED, TYPED))
_PLAIN_ONLY = (
    "may send plain arguments only (None, bool, numbers, texts, bytes, and tuples, lists, dicts and sets of "
    "them): loading others may run code on the nodes"
)
_TOO_MANY = (
    f"may send about {VALUES_MAX} values in a call: a tuple, list, dict or set counts wherever it is used, "
    "and one of the latter three far more; send copies, or fewer values"
)
FRAME_VALUES_MAX = 1 << 21
"""How many values of arguments are judged in one turn, at 0.2 us each; the rest is to be sent again. A client
sends less in one request."""


class NotForRoles(Exception):
    """No honest process with a role sends it."""


class Gates:
    """`modules`: with the classes of these, and of those below them, callers may create groups."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._modules = frozenset(modules)

    def admit(self, limited: Limited) -> "RoleGate":
        """A `fleet.actors.base.limited.Admit`."""
        try:
            return RoleGate(decode_claim(limited.rights), limited.fingerprint, self._modules)
        except ConfigError:
            raise Refused(NO_ROLES) from None


class RoleGate:
    """Of one link. Only the well-known actors of a node are for peers with a role, since others trust that a
    message is for their own group."""

    def __init__(self, claim: Claim, fingerprint: str, modules: frozenset[str]) -> None:
        self.claim = claim
        self._fingerprint = fingerprint
        self._modules = modules
        self._refused: Counter[str] = Counter()
        self._judged = 0
        """Values of arguments, in this frame."""

    def begin_frame(self) -> None:
        self._judged = 0

    def __call__(self, dst: LocalId, sender: Address, message: Any) -> Verdict:
        """Raises NotForRoles."""
        kind = type(message)
        judge = self._judges.get(kind)
        if judge is None or dst not in (MANAGER, REGISTRY):
            who = self.claim.in_words()
            raise NotForRoles(f"{who} ({self._fingerprint}) may not send {kind.__name__} to {dst}")
        if message.reply_to is not None and not _is_of(message.reply_to, sender):
            raise NotForRoles(f"{self._fingerprint} wants the reply to be sent to {message.reply_to}")
        return judge(self, message)

    # -- the kinds of messages ---------------------------------------------------------------------

    def _client_request(self, m: ClientRequest) -> Verdict:
        m = replace(m, has_role=True)
        of_commands = self._error(self._check_commands, m)
        of_queries = self._error(self._check_queries, m)
        if of_commands is None and of_queries is None:
            return Verdict(m)
        refusals = []
        passed: ClientRequest | None = m
        if of_commands is not None:
            seqs = tuple(range(m.first, m.first + len(m.commands)))
            refusals.append(_refusal(m, of_commands, m.opens, seqs, ()))
            passed = replace(m, opens=False, commands=(), closes=False) if m.queries else None
        if of_queries is not None:
            queries = tuple(range(m.first_query, m.first_query + len(m.queries)))
            refusals.append(_refusal(m, of_queries, False, (), queries))
            passed = replace(m, queries=()) if of_commands is None and m.commands else None
        return Verdict(passed, ClientReply(m.group, 0, (), (), tuple(refusals)), m.reply_to)

    def _watch(self, m: WatchGroup | KeepWatch) -> Verdict:
        error = self._error(lambda one: self._check("watch", MESSAGES[type(one)], one.group), m)
        if error is None:
            return Verdict(m)
        return Verdict(None, WatchReply(m.group, m.number, 0, error=error), m.reply_to)

    def _node_request(self, m: NodeRequest) -> Verdict:
        return self._op(m, self._error(self._check_node_op, m))

    def _group_request(self, m: GroupRequest) -> Verdict:
        return self._op(m, self._error(self._check_group_op, m))

    def _op(self, m: NodeRequest | GroupRequest, error: ErrorRecord | None) -> Verdict:
        return Verdict(m) if error is None else Verdict(None, OpReply(m.token, None, error), m.reply_to)

    _judges: ClassVar[dict[type, Callable[["RoleGate", Any], Verdict]]] = {
        ClientRequest: _client_request,
        WatchGroup: _watch,
        KeepWatch: _watch,
        NodeRequest: _node_request,
        GroupRequest: _group_request,
    }

    # -- what is in them ---------------------------------------------------------------------------

    def _check_commands(self, m: ClientRequest) -> None:
        if not (m.opens or m.closes or m.commands):
            return
        if m.group == CLUSTER_GROUP:
            self._check("change the cluster", SESSIONS)
            self._check_cluster_calls(m.commands)
            return
        self._check("send commands", COMMANDS, m.group)
        self._check_arguments(m.commands, m.group)

    def _check_queries(self, m: ClientRequest) -> None:
        if not m.queries:
            return
        if m.group == CLUSTER_GROUP:
            self._check_cluster_calls(m.queries)
            return
        self._check("send queries", QUERIES, m.group)
        self._check_arguments(m.queries, m.group)

    def _check_arguments(self, payloads: Sequence[bytes], group: str) -> None:
        """What is packed or typed is read by types, and for a class whose calls are pickles it is none."""
        if self.claim.role not in ANY_ARGUMENTS.roles:
            for payload in payloads:
                call = without_key(payload)
                if call[:1] not in _NO_PICKLES:
                    self._check_plain(call, group)

    def _check_plain(self, call: bytes, group: str) -> None:
        if self._judged >= FRAME_VALUES_MAX:
            raise Unavailable("a process with a role sends too many arguments at once", group=group)
        count = values_in(call)
        self._judged += min(len(call), VALUES_MAX if count is None else count)
        if count is None:
            raise self._not_allowed(_PLAIN_ONLY, ANY_ARGUMENTS, group)
        if count > VALUES_MAX:
            raise self._not_allowed(_TOO_MANY, ANY_ARGUMENTS, group)

    def _check_cluster_calls(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            method, args, kwargs = Cluster.__fleet_codec__.decode_call(payload)
            rule = CLUSTER_CALLS.get(method, NODES_ONLY)
            try:
                given = _signatures[method].bind(None, *args, **kwargs).arguments
            except (KeyError, TypeError):
                raise BadArguments(f"not a call of the cluster: {method!r:.80}") from None
            group = given.get("name", "") if rule.scope == IN_GROUP else ""
            self._check(f"call {method} of the cluster", rule, group)
            if method == "add_group":
                self._check_class(given["data_class"])
                if given.get("restored_on"):
                    self._check("restore groups", BRING_CODE, group)
            self._tell_allowed(method, rule, group)

    def _check_node_op(self, m: NodeRequest) -> None:
        self._check(f"ask for {type(m.op).__name__}", NODE_OPS[type(m.op)])
        if isinstance(m.op, CheckClass):
            self._check_class(m.op.data_class)

    def _check_group_op(self, m: GroupRequest) -> None:
        rule, name = GROUP_OPS[type(m.op)], type(m.op).__name__
        self._check(f"ask for {name}", rule, m.group)
        self._tell_allowed(name, rule, m.group)

    def _check_class(self, data_class: bytes) -> None:
        """Raises NotAllowed, or DataClassUnavailable for what is no class."""
        module = module_of(data_class)
        if self.claim.role in ANY_CLASS.roles or module == "":
            return
        name = class_name(data_class)
        if module is None:
            raise self._not_allowed(f"may not bring the class {name} by value", ANY_CLASS)
        parts = module.split(".")
        if not any(".".join(parts[:count]) in self._modules for count in range(1, len(parts) + 1)):
            what = f"may not create groups of {name}: data.modules of the nodes does not name {module}"
            raise self._not_allowed(what, ANY_CLASS)

    # -- verdicts ----------------------------------------------------------------------------------

    def _check(self, what: str, rule: Rule, group: str = "") -> None:
        """Raises NotAllowed."""
        claim = self.claim
        if claim.role not in rule.roles:
            raise self._not_allowed(f"may not {what}", rule, group)
        is_of_cluster = rule.scope == IN_CLUSTER or rule.scope == IN_GROUP and group == CLUSTER_GROUP
        if rule.scope == IN_GROUP and not is_of_cluster:
            if not claim.covers(group):
                raise self._not_allowed(f"may not {what} elsewhere", rule, group, "a role for that group")
        elif is_of_cluster and claim.is_limited:
            raise self._not_allowed(f"may not {what}", rule, needs=f"{claim.role} of all groups")

    def _not_allowed(self, what: str, rule: Rule, group: str = "", needs: str = "") -> NotAllowed:
        claim = self.claim
        facts = {"role": claim.role, "groups": ", ".join(claim.groups), "group": group}
        given = {name: value for name, value in facts.items() if value}
        needs = needs or " or ".join(rule.roles) or "the cluster's secret itself"
        return NotAllowed(f"the role {claim.in_words()} {what}", **given, needs=needs)

    def _error(self, check: Callable[[Any], None], m: Any) -> ErrorRecord | None:
        try:
            check(m)
        except FleetError as error:
            self._note(type(m).__name__, error)
            return ErrorRecord.of(error)
        return None

    def _tell_allowed(self, what: str, rule: Rule, group: str) -> None:
        if rule.scope != ANYWHERE:
            audit.info("%s (%s): %s group=%r", self.claim.in_words(), self._fingerprint, what, group)

    def _note(self, kind: str, error: FleetError) -> None:
        """The first, second, fourth, eighth... refusal: a peer may cause any number."""
        self._refused[kind] = count = self._refused[kind] + 1
        if count & (count - 1) == 0:
            group = error.facts.get("group", "")
            told = self._fingerprint, error.what[:1000], group, count
            audit.warning("refused to %s: %r group=%r (%d times)", *told)


def _is_of(address: Any, sender: Address) -> bool:
    """Whether both are of one process. Others must not be told what they have not asked for."""
    here, there = sender.ident, address.addressDetails
    return bool((there.endpoint, there.boot) == (here.endpoint, here.boot))


def _refusal(
    m: ClientRequest, error: ErrorRecord, opens: bool, seqs: tuple[int, ...], queries: tuple[int, ...]
) -> Refusal:
    return Refusal(error, False, "", "", opens, m.session, seqs, queries, m.number)
