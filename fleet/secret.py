"""Where the cluster secret comes from: whoever knows it may run code on the nodes.

It yields the keys that encrypt links, and whoever can dial a node sees a certificate that was made with it,
by which guesses can be tested. So it has to be random.

Each place may hold several secrets, one a line: links show the first, and peers may have any of them. So a
secret is replaced while everything runs. Files are read again when they have changed.

In place of the cluster's secret there may be one of a role, which is derived from it: for whoever is to do
some things only (`fleet.roles`).
"""

import os
import secrets
import shlex
import stat
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import time
from typing import Any

from fleet.actors.base.certificates import ends_at, rights_of
from fleet.actors.base.keyring import Keyring
from fleet.actors.base.role_secrets import FOREVER, derive, is_role_secret, read_role_secret
from fleet.errors import ConfigError
from fleet.files import make_directory, sync_file, sync_name
from fleet.roles import Claim, claim_of, decode_claim, encode_claim
from fleet.system.disk import sync

SECRET_BYTES_MIN = 32
DISTINCT_MIN = 10
"""Different bytes: random ones have more, also when they are written in hexadecimal digits."""
MAKE_ONE = "make one by: fleet secret make FILE"
ELSEWHERE = "name a file with --secret-file (secret_file=) or $FLEET_SECRET_FILE, or set $FLEET_SECRET"


def default_secret_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "fleet" / "secret"


class FileKeyring(Keyring):
    """The secrets in a file."""

    def __init__(self, path: Path) -> None:
        """Raises: ConfigError: it cannot be read, others may read it, or it has no secret that will do."""
        self.path = path.absolute()
        self._turn = Lock()
        self._stamp = _stamp(path)
        super().__init__(_read(path), str(self.path))

    def __getstate__(self) -> dict[str, Any]:
        """Thespian's actors are told of it, also in other processes."""
        return {name: value for name, value in vars(self).items() if name != "_turn"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _turn=Lock())

    def reread(self) -> str:
        with self._turn:  # else what was read before a replacement could be taken after it
            try:
                stamp = _stamp(self.path)
                found = self._at_source if stamp == self._stamp else _read(self.path)
            except ConfigError as error:
                return str(error)
            if found != self._at_source:
                why = self.why_older(found)
                if why:
                    return f"{self.path} is an older copy: {why}; write the newer one there, or start again"
                self.take(found)
            self._stamp, self._at_source = stamp, found
        return ""

    def replace(self, accepted: Sequence[bytes]) -> None:
        content = b"".join(secret + b"\n" for secret in accepted)
        if _checked(content.strip(), self.source) != tuple(accepted):
            raise ConfigError("a secret is one line, and none is there twice", where=self.source)
        with self._turn:
            try:
                _write(self.path.resolve(), content)
            except OSError as error:
                what = (
                    f"the secret file cannot be written here: {error.strerror}; change it where it comes from"
                )
                raise ConfigError(what, path=self.path) from None
            self._at_source = tuple(accepted)
            self.take(accepted)


def find_secret(
    secret: bytes | str | Keyring | None = None, secret_file: str | os.PathLike[str] | None = None
) -> Keyring:
    """The cluster's secrets: `secret`, else those in `secret_file`, else $FLEET_SECRET, else those in
    $FLEET_SECRET_FILE, else the user's own file, which is created when it is first needed.

    The user's own file serves one host; nodes on several hosts need the same file on each.

    Raises: ConfigError: a file cannot be read or others may read it, or the secret is short or guessable.
    """
    if isinstance(secret, Keyring):
        return secret
    if secret is not None:
        return Keyring(_checked(secret.encode() if isinstance(secret, str) else secret, "secret"))
    if secret_file is not None:
        return FileKeyring(Path(secret_file))
    if "FLEET_SECRET" in os.environ:
        return Keyring(_checked(os.environ["FLEET_SECRET"].encode(), "$FLEET_SECRET"), "$FLEET_SECRET")
    if "FLEET_SECRET_FILE" in os.environ:
        return FileKeyring(Path(os.environ["FLEET_SECRET_FILE"]))
    path = default_secret_path()
    if not path.is_absolute():
        raise ConfigError(f"this user has no home directory for a secret: {ELSEWHERE}")
    try:
        if path.exists():
            sync_name(path)
        else:
            make_secret(path)
    except OSError as error:
        what = f"this user's secret cannot be made at {path}: {error.strerror}; {ELSEWHERE}"
        raise ConfigError(what) from None
    return FileKeyring(path)


def one_secret(secret: bytes | str) -> bytes:
    """Raises: ConfigError: it is short or guessable, or there are several."""
    found = find_secret(secret).accepted
    if len(found) > 1:
        raise ConfigError(f"these are {len(found)} secrets, one a line: give one")
    return found[0]


def new_secret() -> bytes:
    return secrets.token_hex(SECRET_BYTES_MIN).encode()


def derive_secret(secret: bytes, role: str, groups: Sequence[str] = (), *, until: float = FOREVER) -> bytes:
    """A new role secret, which is good for as long as the cluster's `secret` is.

    Args:
        role: one of `fleet.roles.ROLES`.
        groups: names of groups, or beginnings of names that end in `*`; (): all.
        until: seconds since 1970 at which it ends; FOREVER: with the secret.

    Raises: ConfigError: no such role, no pattern, or `secret` is one of a role itself.
    """
    if is_role_secret(secret):
        raise ConfigError("role secrets are derived from the cluster's secret, and this is one of a role")
    claim = claim_of(role, tuple(groups))
    return derive(secret, encode_claim(claim), until)


def role_of(secret: bytes) -> tuple[Claim, float] | None:
    """The role of a role secret, and when it ends, as for `derive_secret`. None: it is a cluster's secret.

    Raises: ConfigError: it is damaged, or of a role that this version does not know.
    """
    if not is_role_secret(secret):
        return None
    certificate = read_role_secret(secret).certificate
    return decode_claim(rights_of(certificate) or b""), ends_at(certificate)


def secret_source(secret_file: str | os.PathLike[str] | None = None) -> str:
    """Where `find_secret` takes the secret from, in words."""
    if secret_file is not None:
        return str(secret_file)
    if "FLEET_SECRET" in os.environ:
        return "$FLEET_SECRET"
    if "FLEET_SECRET_FILE" in os.environ:
        return f"$FLEET_SECRET_FILE, {os.environ['FLEET_SECRET_FILE']}"
    return str(default_secret_path())


def make_secret(path: Path) -> None:
    """Make one, unless there is one. The file is whole at any time, also when several processes make it at
    once, and on the disk on return, whoever made it. Raises OSError."""
    make_directory(path.parent)
    if not path.exists():
        with suppress(FileExistsError):
            _link_new(path, new_secret() + b"\n")
    sync_file(path)


def write_new(path: Path, content: bytes) -> None:
    """For the user's eyes only, and whole at any time. Raises OSError: FileExistsError, among others."""
    _link_new(path, content)
    sync_name(path)


def _link_new(path: Path, content: bytes) -> None:
    mine = _written_beside(path, content)
    try:
        os.link(mine, path)
    finally:
        mine.unlink()


def _write(path: Path, content: bytes) -> None:
    """Replace the file: it has the former or the new content, also after a loss of power."""
    mine = _written_beside(path, content)
    try:
        os.replace(mine, path)
    except BaseException:
        mine.unlink()
        raise
    sync_name(path)


def _written_beside(path: Path, content: bytes) -> Path:
    mine = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            sync(descriptor)
    except BaseException:
        mine.unlink()
        raise
    return mine


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Differs once the file has changed; None: it is not there, or cannot be seen."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_mtime_ns, seen.st_size


def _read(path: Path) -> tuple[bytes, ...]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read().strip()
    except OSError as error:
        raise ConfigError(f"the secret file cannot be read: {error.strerror}", path=path) from None
    if stat.S_ISREG(mode) and mode & 0o077:
        what = f"the secret file may be read by others than its owner: chmod 600 {shlex.quote(str(path))}"
        raise ConfigError(what)
    return _checked(data, str(path))


def _checked(content: bytes, where: str) -> tuple[bytes, ...]:
    """A line each. A secret of raw bytes that happens to have a line's end in it is one secret."""
    lines = tuple(line.strip() for line in content.splitlines() if line.strip())
    if len(lines) < 2 or min(map(len, lines)) < SECRET_BYTES_MIN:
        lines = (content,)
    return tuple(dict.fromkeys(_checked_line(line, where) for line in lines))


def _checked_line(secret: bytes, where: str) -> bytes:
    if is_role_secret(secret):
        return _checked_role(secret, where)
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigError(
            f"a cluster secret has at least {SECRET_BYTES_MIN} bytes, this one has {len(secret)}: {MAKE_ONE}",
            where=where,
        )
    if len(set(secret)) < DISTINCT_MIN:
        raise ConfigError(f"this cluster secret can be guessed: {MAKE_ONE}", where=where)
    return secret


def _checked_role(secret: bytes, where: str) -> bytes:
    try:
        found = role_of(secret)
    except ConfigError as error:
        raise ConfigError(error.what, where=where) from None
    if found is not None and found[1] != FOREVER and time() > found[1]:
        ended = f"ended at {time_text(found[1])}: derive another one"
        raise ConfigError(f"this secret of the role {found[0].in_words()} {ended}", where=where)
    return secret


def time_text(at: float) -> str:
    """Seconds since 1970, as UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
