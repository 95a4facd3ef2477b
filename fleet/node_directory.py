"""A node's data directory when the node starts: whose it is, and whether the node may found a cluster."""

import os
from collections.abc import Callable

from fleet.actors.node.cluster_membership import CLUSTER_KEY
from fleet.actors.node.greetings import NODES_KEY
from fleet.actors.node.records import check_base
from fleet.errors import ConfigError, Damaged, NodeDamaged
from fleet.storage import LmdbStore


def check_founding(
    path: str | os.PathLike[str], found: bool | None, has_others: bool, is_empty: bool
) -> None:
    """The command that founded a cluster must not found another after its directory was emptied.

    `has_others`: other nodes are named to it.
    """
    if found and not is_empty:
        raise ConfigError(
            f"{path} belongs to a cluster already: start this node without --found (found=True)"
        )
    if found is False and is_empty and not has_others:
        raise ConfigError(
            f"{path} is empty, and no other node is named: --join host:port of a node of the "
            "cluster, or --founder host:port of each founder, or --found for a cluster of one node"
        )


def open_directory(
    path: str | os.PathLike[str], cluster: str, node: str, base: str, check: Callable[[bool], None]
) -> LmdbStore:
    """The node's store. `check` is told whether there is nothing in it.

    Raises:
        DirectoryInUse, WrongDirectory, NodeDamaged, StorageFault: about the directory.
        Whatever `check` raises.
    """
    try:
        store = LmdbStore(path, cluster=cluster, node=node)
    except Damaged as error:
        raise NodeDamaged(error.what, **error.facts) from error
    try:
        known = (store.get_meta(key) for key in (CLUSTER_KEY, NODES_KEY))
        check(not store.groups() and all(one is None for one in known))
        check_base(store, base)
    except BaseException:
        store.close()
        raise
    return store
