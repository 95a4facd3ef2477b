"""Where the cluster secret comes from: whoever knows it may run code on the nodes."""

import os
import secrets
from pathlib import Path

from fleet.errors import ConfigError

SECRET_BYTES_MIN = 16


def default_secret_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base) / "fleet" / "secret"


def find_secret(
    secret: bytes | str | None = None, secret_file: str | os.PathLike[str] | None = None
) -> bytes:
    """The secret that was given, or of the file that was given, or of $FLEET_SECRET, or of
    $FLEET_SECRET_FILE, or this user's own, which is made when it is first wanted.

    The last is for one host; nodes on several hosts need the same file on each.

    Raises: ConfigError for a file that cannot be read or a secret that is too short.
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
    if not path.exists():
        _make(path)
    return _read(path)


def secret_source(secret_file: str | os.PathLike[str] | None = None) -> str:
    """Where `find_secret` takes it from, in words."""
    if secret_file is not None:
        return str(secret_file)
    if "FLEET_SECRET" in os.environ:
        return "$FLEET_SECRET"
    if "FLEET_SECRET_FILE" in os.environ:
        return f"$FLEET_SECRET_FILE, {os.environ['FLEET_SECRET_FILE']}"
    return str(default_secret_path())


def _make(path: Path) -> None:
    """Whole or not at all, also when several processes want it at once."""
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
        data = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"the secret file cannot be read: {error}", path=path) from error
    return _checked(data, str(path))


def _checked(secret: bytes, where: str) -> bytes:
    if len(secret) < SECRET_BYTES_MIN:
        raise ConfigError(
            f"a cluster secret has at least {SECRET_BYTES_MIN} bytes, this one has {len(secret)}", where=where
        )
    return secret
