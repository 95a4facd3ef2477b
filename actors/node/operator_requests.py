"""Requests of operators, clients and leaders of groups to a node."""

import logging
from functools import partial
from typing import Any

from thespian.actors import (
    ActorAddress,
)

from fleet.actors.base.keyring import Keyring
from fleet.actors.base.role_secrets import is_role_secret
from fleet.actors.client.cluster_pin import wrong_cluster
from fleet.actors.messages.operator import (
    AwaitMembers,
    CheckClass,
    ClusterSeen,
    Done,
    GetCluster,
    GetSecrets,
    Hosted,
    HostMember,
    ListMembers,
    ListNodes,
    MemberList,
    NodeRequest,
    Nodes,
    OpReply,
    OpValue,
    SecretsSeen,
    SetSecrets,
)
from fleet.actors.messages.values import GroupSpec
from fleet.actors.node.hosted_member import Created, HostedMember
from fleet.actors.node.hosted_members import WAITING_MAX
from fleet.actors.node.parts import Node
from fleet.cluster.state import CLUSTER_GROUP
from fleet.errors import (
    BadArguments,
    ChangeInProgress,
    CleanupOngoing,
    ConfigError,
    FleetError,
    NoSuchGroup,
    Unavailable,
)
from fleet.objects.payload import ErrorRecord
from fleet.raft.ids import Millis

audit = logging.getLogger("fleet.audit")

REACHABLE_MS: Millis = 3000
"""A node that was silent for this long is reported as unreachable."""


class OperatorRequests:
    def __init__(self, node: Node) -> None:
        self.node = node

    def on_request(self, m: NodeRequest, sender: ActorAddress) -> None:
        node = self.node
        own = node.cluster.cluster_uid()
        try:
            if m.cluster and own and m.cluster != own and type(m.op) is not ListNodes:
                raise wrong_cluster(node.start.address or node.start.name, own, m.cluster)
            if isinstance(m.op, AwaitMembers):
                node.arrivals.take(m, m.op, m.reply_to or sender)
                return
            if isinstance(m.op, HostMember):
                self._host_member(m.op, partial(self._tell_hosted, m.token, m.reply_to or sender))
                return
            if isinstance(m.op, CheckClass):
                node.try_class(m.op.data_class, partial(self._tell_checked, m.token, m.reply_to or sender))
                return
            reply = OpReply(m.token, self._answer(m.op), cluster=own)
        except FleetError as error:
            reply = OpReply(m.token, None, ErrorRecord.of(error), cluster=own)
        node.send(m.reply_to or sender, reply)

    def _answer(self, op: Any) -> OpValue:
        node = self.node
        match op:
            case ListNodes():
                return Nodes(node.nodes.everyone())
            case ListMembers():
                return MemberList(node.nodes.me, node.hosted_members.infos())
            case GetCluster():
                return self._cluster_seen()
            case GetSecrets():
                return self._secrets_seen()
            case SetSecrets():
                return self._set_secrets(op)
        raise BadArguments(f"a node manager does not know {type(op).__name__}")

    def _keyring(self) -> Keyring:
        keyring = self.node.start.keyring
        if keyring is None:
            raise BadArguments("this node has no secret: its links are not those of the fleet base")
        return keyring

    def _secrets_seen(self) -> SecretsSeen:
        keyring = self._keyring()
        return SecretsSeen(keyring.fingerprints(), keyring.source)

    def _set_secrets(self, op: SetSecrets) -> SecretsSeen:
        keyring = self._keyring()
        if self.node.start.supervisor is not None:  # its other processes have what they were started with
            what = (
                "on multiprocTCPBase a node reads its secrets when it starts: change its file, then start it"
            )
            raise ConfigError(what, node=self.node.start.name)
        before = keyring.fingerprints()
        if any(map(is_role_secret, op.accepted)):
            raise BadArguments("a node needs the cluster's secret itself, and this is one of a role")
        if op.accepted != keyring.accepted and op.former != before:
            raise ChangeInProgress(
                "the secrets of this node are others by now: look again", node=self.node.start.name
            )
        if op.accepted != keyring.accepted:
            try:
                keyring.replace(op.accepted)
            except ConfigError as error:
                raise ConfigError(error.what, **error.facts, node=self.node.start.name) from None
            after = keyring.fingerprints()
            audit.warning("secrets changed: were=%s are=%s", ",".join(before), ",".join(after))
        return self._secrets_seen()

    def _cluster_seen(self) -> ClusterSeen:
        node = self.node
        view, now = node.view, node.now()
        silent = {name: node.nodes.silent_ms(name, now) for name in view.nodes if name != node.start.name}
        unreachable = {name: silence for name, silence in silent.items() if silence >= REACHABLE_MS}
        clones = node.greetings.recent_clones()
        return ClusterSeen(node.nodes.me, view.whole() if view.rev else None, unreachable, clones)

    def _tell_hosted(
        self, token: int, reply_to: ActorAddress, hosted: HostedMember | None, error: FleetError | None
    ) -> None:
        node = self.node
        value = Hosted(hosted.member) if hosted is not None else None
        record = ErrorRecord.of(error) if error is not None else None
        node.send(reply_to, OpReply(token, value, record, cluster=node.cluster.cluster_uid()))

    def _tell_checked(self, token: int, reply_to: ActorAddress, error: FleetError | None) -> None:
        value = Done(0, 0) if error is None else None
        record = ErrorRecord.of(error) if error is not None else None
        self.node.send(reply_to, OpReply(token, value, record, cluster=self.node.cluster.cluster_uid()))

    def _on_class_tried(self, m: HostMember, done: Created, error: FleetError | None) -> None:
        """Much may have happened while it was loaded."""
        try:
            if error is not None:
                raise error
            self._host_member(m, done, is_class_tried=True)
        except FleetError as refusal:
            done(None, refusal)

    def _pin_cluster(self, spec: GroupSpec) -> dict[str, bytes]:
        """The records to be written with a member of this group.

        The first member that a node hosts is the cluster's own: until then it could not tell clients of
        another cluster from its own.

        Raises:
            WrongCluster: the group belongs to another cluster than the node.
            Unavailable: the node belongs to none yet.
        """
        node = self.node
        if spec.name == CLUSTER_GROUP:
            return node.cluster.pin(spec.uid)
        own = node.cluster.cluster_uid()
        if spec.cluster == own:
            return {}
        if own:
            raise wrong_cluster(node.start.address or node.start.name, own, spec.cluster)
        raise Unavailable("the node belongs to no cluster yet", group=spec.name, node=node.start.name)

    def _host_member(self, m: HostMember, done: Created, is_class_tried: bool = False) -> None:
        """Answer with the member here, unless the group has removed it; else create one, if its class can be
        loaded, and answer when it is durable."""
        node = self.node
        spec = m.spec
        hosted, coming = node.hosted_members.by_name.get(spec.name), node.hosted_members.coming.get(spec.name)
        where = {"group": spec.name, "node": node.start.name}
        meta = self._pin_cluster(spec)
        if node.is_renewing:
            raise Unavailable("its directory is an older copy and is being renewed", **where)
        if coming is not None:
            if coming.spec.uid != spec.uid or len(coming.waiting) >= WAITING_MAX:
                raise CleanupOngoing("a member is being created", **where)
            coming.waiting.append(done)
            return
        if hosted is not None and hosted.spec.uid != spec.uid:
            if spec.uid < hosted.spec.uid:
                raise NoSuchGroup("that group was removed and another one has its name", group=spec.name)
        if hosted is not None and (hosted.spec.uid != spec.uid or hosted.member in m.removed):
            node.hosted_members.drop(hosted)
            hosted = None
        if hosted is not None and hosted.ill:
            raise CleanupOngoing("a former member must be removed first", **where)
        if hosted is not None:
            done(hosted, None)
            return
        if any(
            one.is_dropped and one.spec.name == spec.name for one in node.hosted_members.by_number.values()
        ):
            raise CleanupOngoing("a former member is being deleted", **where)
        if is_class_tried:
            node.hosted_members.create([spec], done, meta)
        else:
            node.try_class(spec.data_class, partial(self._on_class_tried, m, done))
