"""Roles: what a process may do that has a role secret instead of the cluster's.

What each of them may send is the table in `fleet.actors.node.allowed`.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from fleet.errors import ConfigError

READER: Final = "reader"
CALLER: Final = "caller"
DEPLOY: Final = "deploy"
OPERATOR: Final = "operator"
ROLES: Final = {
    READER: "reads and watches groups",
    CALLER: "reads and calls groups, with plain or typed arguments, and creates groups of classes that the "
    "nodes know",
    DEPLOY: "does so with classes and arguments of any kind, which run their code on the nodes",
    OPERATOR: "reads groups, and changes nodes, members and settings",
}
ALL: Final = "*"
"""As a pattern: all groups. At the end of another one: all whose names begin so."""
_PATTERN_MAX = 1000
_PATTERNS_MAX = 16


class Claim(Struct, frozen=True, array_like=True):
    """A role, and the groups for which somebody has it."""

    role: Annotated[str, Meta(max_length=64)]
    groups: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=_PATTERN_MAX)], ...],
        Meta(max_length=_PATTERNS_MAX),
    ] = ()
    """Names, or beginnings of names that end in `*`. (): all, and the cluster itself."""

    @property
    def is_limited(self) -> bool:
        return bool(self.groups)

    def covers(self, group: str) -> bool:
        if not self.groups:
            return True
        return any(group.startswith(one[:-1]) if one.endswith(ALL) else group == one for one in self.groups)

    def in_words(self) -> str:
        return f"{self.role} of {', '.join(self.groups)}" if self.groups else self.role


def claim_of(role: str, patterns: tuple[str, ...] = ()) -> Claim:
    """Raises ConfigError: no such role, or no pattern of groups."""
    if role not in ROLES:
        node = "; a node needs the cluster's secret itself" if role == "node" else ""
        raise ConfigError(f"there is no role {role!r}: {', '.join(ROLES)}{node}")
    for pattern in patterns:
        if not 0 < len(pattern) <= _PATTERN_MAX or ALL in pattern[:-1]:
            what = f"{pattern!r:.80} is no pattern of groups: a name, or the beginning of names and one *"
            raise ConfigError(f"{what} at its end, such as acct/*")
    if len(patterns) > _PATTERNS_MAX:
        raise ConfigError(f"a role is limited by at most {_PATTERNS_MAX} patterns, not {len(patterns)}")
    return Claim(role, () if ALL in patterns else tuple(dict.fromkeys(patterns)))


def encode_claim(claim: Claim) -> bytes:
    return msgspec.msgpack.encode(claim)


def decode_claim(data: bytes) -> Claim:
    """Raises ConfigError: it is none, or one of a role that this version does not know."""
    try:
        claim = msgspec.msgpack.decode(data, type=Claim)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"not the claim of a role: {error}") from None
    return claim_of(claim.role, claim.groups)
