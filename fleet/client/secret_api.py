"""Requests about the secrets of a cluster's nodes: what each has, and replacing it while everything runs."""

from collections.abc import Iterable
from concurrent.futures import wait

from msgspec import Struct

from fleet.actors.base.keyring import Keyring, fingerprint_of
from fleet.actors.base.role_secrets import is_role_secret
from fleet.actors.messages.operator import (
    SECRET_BYTES_MAX,
    SECRETS_MAX,
    GetSecrets,
    SecretsSeen,
    SetSecrets,
)
from fleet.client.class_api import ClassOperations
from fleet.client.group_api import GRACE_S
from fleet.errors import ConfigError, NotAllowed, Unavailable
from fleet.raft.ids import NodeName
from fleet.secret import one_secret

ASKED_S = 2.0
"""How long a node may take to say what it has."""


class NodeSecrets(Struct, frozen=True):
    """The secrets of a node, by their fingerprints."""

    node: NodeName
    address: str
    accepted: tuple[str, ...]
    """The first is the one that its links show. Empty: the node does not answer."""
    source: str
    """Where they come from: a file, or a variable."""


class SecretOperations(ClassOperations):
    """The part of `fleet.Fleet` about the cluster secret. All calls block.

    A secret is replaced in two steps. `rotate_secret` makes all nodes accept a new one beside the old one,
    then show it. Then it is copied to the clients' hosts. `retire_secrets` makes all nodes accept it alone.
    """

    keyring: Keyring
    """This client's own."""

    def secrets(self, timeout: float = ASKED_S) -> list[NodeSecrets]:
        """What each node of the cluster has, by name.

        Raises as `cluster`, and NotAllowed: this client has a role secret of another role than `operator`.
        """
        view = self.cluster().view
        assert view is not None
        nodes = sorted(view.nodes, key=lambda node: node.name)
        asked = [self._ask_soon(GetSecrets(), "", node.address, True, timeout) for node in nodes]
        wait(asked, timeout + GRACE_S)
        found = []
        for node, future in zip(nodes, asked, strict=True):
            if isinstance(future.exception(), NotAllowed):
                future.result()
            told = future.result() if future.exception() is None else None
            seen = told if isinstance(told, SecretsSeen) else SecretsSeen((), "")
            found.append(NodeSecrets(node.name, node.address, seen.accepted, seen.source))
        return found

    def rotate_secret(self, secret: bytes | str) -> list[NodeSecrets]:
        """Make every node accept `secret` besides those that it has, and then show it. Links stay.

        Each node's file is changed, and this client's, if it has one that it may write. Repeated with the
        same secret, it goes on where it was interrupted. So have `secret` on a disk before: nodes show it
        from then on, and who has lost it is locked out. `fleet.secret.make_secret` makes a file with one.

        Raises:
            Unavailable: a node does not answer; those that do accept the secret by then, and none shows it.
            ConfigError: the secret is short or guessable, or the secrets of a node are not in a file that can
                be written there, or it accepts one that this client does not know.
            ChangeInProgress: somebody else changes the secrets of a node.
            NotAllowed: this client has a role secret, or `secret` is one.
        """
        new = one_secret(secret)
        self._check_is_whole(new)
        before = self._all_answer()
        known = self._by_fingerprint(before, new)
        self._check_room(before, new)
        for node in before:
            if fingerprint_of(new) not in node.accepted:
                self._set(node, (*(known[one] for one in node.accepted), new))
        self._hold(tuple(dict.fromkeys((*self.keyring.accepted, new))))
        accepting = self._all_answer()
        known = self._by_fingerprint(accepting, new)
        for node in accepting:
            others = (known[one] for one in node.accepted if one != fingerprint_of(new))
            self._set(node, (new, *others))
        self._hold(tuple(dict.fromkeys((new, *self.keyring.accepted))))
        return self._all_answer()

    def retire_secrets(self) -> list[NodeSecrets]:
        """Make every node accept the secret alone that it shows. Links of processes that have another one are
        closed within seconds, and processes that do not know this one are refused from then on.

        Raises:
            ConfigError: the nodes show different secrets, or one that this client does not know.
            Unavailable: a node does not answer. It would be refused when it comes back.
            NotAllowed: this client has a role secret.
        """
        self._check_is_whole()
        before = self._all_answer()
        shown = {node.accepted[0] for node in before}
        own = fingerprint_of(self.keyring.shown)
        if shown != {own}:
            told = ", ".join(f"{node.node} shows {node.accepted[0]}" for node in before)
            if len(shown) == 1:
                raise ConfigError(f"connect with the secret that the nodes show: {told}, this client {own}")
            raise ConfigError(f"rotate first, so that all show one secret: {told}, this client {own}")
        for node in before:
            self._set(node, (self.keyring.shown,))
        self._hold((self.keyring.shown,))
        return self._all_answer()

    def _check_is_whole(self, *others: bytes) -> None:
        if any(map(is_role_secret, (*self.keyring.accepted, *others))):
            what = "secrets are replaced by whoever has the cluster's secret, and this is one of a role"
            raise NotAllowed(what, needs="the cluster's secret itself")

    def _all_answer(self) -> list[NodeSecrets]:
        found = self.secrets()
        silent = [node.node for node in found if not node.accepted]
        if silent:
            raise Unavailable(f"every node must know it: {', '.join(silent)} does not answer", nodes=silent)
        return found

    def _by_fingerprint(self, nodes: Iterable[NodeSecrets], secret: bytes) -> dict[str, bytes]:
        """The new secret and this client's, by their fingerprints. Raises ConfigError: a node has others."""
        known = {fingerprint_of(one): one for one in (secret, *self.keyring.accepted)}
        for node in nodes:
            for one in node.accepted:
                if one not in known:
                    what = (
                        f"node {node.node} accepts a secret that this client does not know: another rotation "
                        "is under way; go on with its secret, or take it back by retiring"
                    )
                    raise ConfigError(what, fingerprint=one, source=node.source)
        return known

    def _check_room(self, nodes: Iterable[NodeSecrets], secret: bytes) -> None:
        """Raises ConfigError: a node accepts as many others as it may."""
        if len(secret) > SECRET_BYTES_MAX:
            raise ConfigError(f"a secret has at most {SECRET_BYTES_MAX} bytes, this one has {len(secret)}")
        for node in nodes:
            if len({*node.accepted, fingerprint_of(secret)}) > SECRETS_MAX:
                raise ConfigError(
                    f"node {node.node} accepts {SECRETS_MAX} secrets: retire the former ones first"
                )

    def _set(self, node: NodeSecrets, accepted: tuple[bytes, ...]) -> None:
        """Again after a lost answer: a node that has these already says so."""
        fingerprints = tuple(map(fingerprint_of, accepted))
        if node.accepted == fingerprints:
            return
        self._ask(SetSecrets(accepted, node.accepted), address=node.address)

    def _hold(self, accepted: tuple[bytes, ...]) -> None:
        """In this client's file, too, where it has one that it may write: its user copies the secret else."""
        if self.keyring.accepted != accepted or not self.keyring.is_kept:
            try:
                self.keyring.replace(accepted)
            except ConfigError:
                self.keyring.take(accepted)
