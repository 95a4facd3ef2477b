"""The secrets of a process: one that it shows, and all that it accepts. They change while it runs."""

from collections.abc import Sequence
from hashlib import blake2b

from fleet.errors import ConfigError

FINGERPRINT_BYTES = 6


def fingerprint_of(secret: bytes) -> str:
    """Names a secret where the secret itself must not be seen."""
    return blake2b(secret, digest_size=FINGERPRINT_BYTES, person=b"fleet-secret").hexdigest()


class Keyring:
    """`accepted`: the secret that links of this process show, first; then others by which peers may prove
    themselves. Assigned as a whole, so that it may be read in any thread.
    """

    def __init__(self, accepted: Sequence[bytes], source: str = "secret=") -> None:
        """`source`: where it is from, in words."""
        self.accepted = tuple(accepted)
        self.source = source
        self._at_source = self.accepted
        """What the source had when it was last read or written."""
        self._former: frozenset[bytes] = frozenset()
        """Shown before the one that is shown now, or not accepted any more."""

    def __repr__(self) -> str:
        """Without the secrets, since reprs end up in tracebacks and logs."""
        return f"{type(self).__name__}({self.source}: {', '.join(self.fingerprints())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyring) and self.accepted == other.accepted

    def __hash__(self) -> int:
        return hash(self.source)

    @property
    def shown(self) -> bytes:
        return self.accepted[0]

    @property
    def is_kept(self) -> bool:
        """Whether its source has these, so that the next process finds them there."""
        return self._at_source == self.accepted

    def fingerprints(self) -> tuple[str, ...]:
        return tuple(map(fingerprint_of, self.accepted))

    def take(self, accepted: Sequence[bytes]) -> None:
        """Change it in this process, whatever its source has."""
        if tuple(accepted) == self.accepted:
            return
        before, after = set(self.accepted), set(accepted)
        given_up = (before - after) | {self.shown}
        self._former = (self._former - (after - before) | given_up) - {accepted[0]}
        self.accepted = tuple(accepted)

    def why_older(self, accepted: Sequence[bytes]) -> str:
        """Why its source must have had these before it had what is accepted now; "" if they may be newer."""
        for secret in accepted:
            if secret in self._former and secret not in self.accepted:
                return f"it has {fingerprint_of(secret)}, which is retired"
        if self.shown not in accepted and accepted[0] in self._former:
            return f"it lacks {fingerprint_of(self.shown)}, which is shown in place of its first"
        return ""

    def reread(self) -> str:
        """Take what its source has by now, unless that is older. May block. Returns why that fails, "" if it
        does not."""
        return ""

    def replace(self, accepted: Sequence[bytes]) -> None:
        """Change it at its source and here.

        Raises: ConfigError: its source cannot be changed from here.
        """
        raise ConfigError(f"the secret is from {self.source}: change it there, and start this process again")
