"""Who may send what to a node: one table. `gate` applies it where messages enter from a link.

It is about processes with a role secret. Who has the cluster's secret may send everything: nodes are such,
and the messages between them are for nobody else.
"""

from typing import Final

from msgspec import Struct

from fleet.actors.messages.client import ClientReply, ClientRequest, KeepWatch, WatchGroup, WatchReply
from fleet.actors.messages.group_states import (
    ForgetCopy,
    GetHistory,
    GiveState,
    ReadBase,
    ReadCopy,
    ReadLog,
    TakeCopy,
)
from fleet.actors.messages.operator import (
    AddMember,
    AwaitMembers,
    ChangeConfig,
    CheckClass,
    DemoteMember,
    GetCluster,
    GetSecrets,
    GetStatus,
    GroupRequest,
    HostMember,
    ListMembers,
    ListNodes,
    NodeRequest,
    OpReply,
    PromoteMember,
    RehearseClass,
    RemoveMember,
    RepairMember,
    SetSecrets,
    ShowState,
    SkipCommand,
    SwitchClass,
    TransferLeader,
)
from fleet.actors.messages.peer import (
    Clone,
    GivenUp,
    NodeHeartbeat,
    NodeHello,
    OlderCopy,
    PeerMail,
    PeerMails,
    StockMail,
)
from fleet.actors.node.founding import MESSAGES as FOUNDING
from fleet.roles import CALLER, DEPLOY, OPERATOR, READER

ANYWHERE: Final = "anywhere"
"""It is about what everybody may know who comes in: which nodes and groups there are, and where."""
IN_GROUP: Final = "in a group"
"""The role must cover the group."""
IN_CLUSTER: Final = "in the cluster"
"""It is about more than groups: a role that is limited to some does not cover it."""


class Rule(Struct, frozen=True):
    roles: tuple[str, ...]
    scope: str = IN_GROUP


_ALL = (READER, CALLER, DEPLOY, OPERATOR)
LOOK = Rule(_ALL, ANYWHERE)
READ = Rule(_ALL)
CALL = Rule((CALLER, DEPLOY))
BRING_CODE = Rule((DEPLOY,))
SEE_STATES = Rule((DEPLOY, OPERATOR))
OPERATE = Rule((OPERATOR,))
OPERATE_CLUSTER = Rule((OPERATOR,), IN_CLUSTER)
NODES_ONLY = Rule((), IN_CLUSTER)

ENVELOPES: Final = (ClientRequest, NodeRequest, GroupRequest)
"""Of these it counts what is in them."""
MESSAGES: Final[dict[type, Rule]] = {
    WatchGroup: READ,
    KeepWatch: READ,
    **dict.fromkeys((ClientReply, WatchReply, OpReply), NODES_ONLY),
    **dict.fromkeys((PeerMail, PeerMails, NodeHeartbeat, NodeHello, OlderCopy, Clone, GivenUp), NODES_ONLY),
    StockMail: NODES_ONLY,
    **dict.fromkeys(FOUNDING, NODES_ONLY),
}
QUERIES: Final = READ
COMMANDS: Final = CALL
"""Of a ClientRequest to a group of users."""
SESSIONS: Final = Rule((CALLER, DEPLOY, OPERATOR), ANYWHERE)
"""Of a client with the cluster group, whose calls are judged by themselves."""
ANY_ARGUMENTS: Final = BRING_CODE
"""In a ClientRequest: arguments that are not plain and not typed, since loading them may run code."""
ANY_CLASS: Final = BRING_CODE
"""In what names a data class: one by value, or of a module that the nodes' `data.modules` does not name."""
NODE_OPS: Final[dict[type, Rule]] = {
    ListNodes: LOOK,
    ListMembers: LOOK,
    GetCluster: LOOK,
    AwaitMembers: LOOK,
    CheckClass: Rule((CALLER, DEPLOY), ANYWHERE),
    GetSecrets: Rule((OPERATOR,), ANYWHERE),
    HostMember: NODES_ONLY,
    SetSecrets: NODES_ONLY,
}
GROUP_OPS: Final[dict[type, Rule]] = {
    GetStatus: LOOK,
    AwaitMembers: LOOK,
    AddMember: OPERATE,
    PromoteMember: OPERATE,
    DemoteMember: OPERATE,
    RemoveMember: OPERATE,
    ChangeConfig: OPERATE,
    TransferLeader: OPERATE,
    SkipCommand: OPERATE,
    RepairMember: OPERATE,
    RehearseClass: BRING_CODE,
    SwitchClass: BRING_CODE,
    GiveState: BRING_CODE,
    TakeCopy: SEE_STATES,
    ReadCopy: SEE_STATES,
    ForgetCopy: SEE_STATES,
    GetHistory: SEE_STATES,
    ReadBase: SEE_STATES,
    ReadLog: SEE_STATES,
    ShowState: SEE_STATES,
}
CLUSTER_CALLS: Final[dict[str, Rule]] = {
    "view": LOOK,
    "add_group": CALL,
    "remove_group": SEE_STATES,
    "set_replicas": OPERATE,
    "pin_group": OPERATE,
    "prefer_leader": OPERATE,
    "note_config": OPERATE,
    "set_state": OPERATE_CLUSTER,
    "purge": OPERATE_CLUSTER,
    "set_purge_after": OPERATE_CLUSTER,
    "finalize": OPERATE_CLUSTER,
    **dict.fromkeys(("join", "left", "report", "cleaned", "note_class"), NODES_ONLY),
}
"""Calls of the cluster group, by their methods. Of those that are about a group, its name comes first."""
