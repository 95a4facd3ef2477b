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

    def fingerprints(self) -> tuple[str, ...]:
        return tuple(map(fingerprint_of, self.accepted))

    def reread(self) -> str:
        """Take what its source has by now. May block. Returns why that fails, "" if it does not."""
        return ""

    def replace(self, accepted: Sequence[bytes]) -> None:
        """Change it at its source and here.

        Raises: ConfigError: its source cannot be changed from here.
        """
        raise ConfigError(f"the secret is from {self.source}: change it there, and start this process again")
