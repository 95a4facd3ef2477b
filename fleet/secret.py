"""Where the cluster secret comes from: whoever knows it may run code on the nodes.

It yields the keys that encrypt links, and whoever can dial a node sees a certificate that was made with it,
by which guesses can be tested. So it has to be random.
"""

import os
import secrets
import shlex
import stat
from pathlib import Path

from fleet.errors import ConfigError

SECRET_BYTES_MIN = 32
DISTINCT_MIN = 10
"""Different bytes: random ones have more, also when they are written in hexadecimal digits."""
MAKE_ONE = "make one by: python3 -c 'import secrets; print(secrets.token_hex(32))'"
ELSEWHERE = "name a file with --secret-file (secret_file=) or $FLEET_SECRET_FILE, or set $FLEET_SECRET"


def default_secret_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "fleet" / "secret"


def find_secret(
    secret: bytes | str | None = None, secret_file: str | os.PathLike[str] | None = None
) -> bytes:
    """The cluster secret: `secret`, else the content of `secret_file`, else $FLEET_SECRET, else the content
    of $FLEET_SECRET_FILE, else the user's own file, which is created when it is first needed.

    The user's own file serves one host; nodes on several hosts need the same file on each.

    Raises: ConfigError: a file cannot be read or others may read it, or the secret is short or guessable.
    """
    if secret is not None:
        return _checked(secret.encode() if isinstance(secret, str) else secret, "secret")
    if secret_file is not None:
        return _read(Path(secret_file))
    if "FLEET_SECRET" in os.environ:
        return _checked(os.environ["FLEET_SECRET"].encode(), "$FLEET_SECRET")
    if "FLEET_SECRET_FILE" in os.environ:
        return _read(Path(os.environ["FLEET_SECRET_FILE"]))
    path = default_secret_path()
    if not path.is_absolute():
        raise ConfigError(f"this user has no home directory for a secret: {ELSEWHERE}")
    try:
        if not path.exists():
            _make(path)
    except OSError as error:
        what = f"this user's secret cannot be made at {path}: {error.strerror}; {ELSEWHERE}"
        raise ConfigError(what) from None
    return _read(path)


def secret_source(secret_file: str | os.PathLike[str] | None = None) -> str:
    """Where `find_secret` takes the secret from, in words."""
    if secret_file is not None:
        return str(secret_file)
    if "FLEET_SECRET" in os.environ:
        return "$FLEET_SECRET"
    if "FLEET_SECRET_FILE" in os.environ:
        return f"$FLEET_SECRET_FILE, {os.environ['FLEET_SECRET_FILE']}"
    return str(default_secret_path())


def _make(path: Path) -> None:
    """Atomic, also when several processes create it at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    mine = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        try:
            os.link(mine, path)
        except FileExistsError:
            pass
    finally:
        mine.unlink()


def _read(path: Path) -> bytes:
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


def _checked(secret: bytes, where: str) -> bytes:
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigError(
            f"a cluster secret has at least {SECRET_BYTES_MIN} bytes, this one has {len(secret)}: {MAKE_ONE}",
            where=where,
        )
    if len(set(secret)) < DISTINCT_MIN:
        raise ConfigError(f"this cluster secret can be guessed: {MAKE_ONE}", where=where)
    return secret
