"""The lock file: contracts by module and class, as JSON that reads well in a diff."""

from pathlib import Path

import msgspec
from msgspec import Struct

from fleet.contracts.contract import ClassContract
from fleet.errors import ConfigError

NAME = "fleet.contracts.json"
FORMAT = 1


class LockFile(Struct, forbid_unknown_fields=True):
    format: int = FORMAT
    classes: dict[str, ClassContract] = {}
    """By `module:Class`."""


def read(path: Path) -> LockFile:
    """Raises ConfigError: there is none, or it holds something else."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=LockFile)
    except FileNotFoundError:
        what = f"there is no {path}; write it by `fleet contracts update module:Class ...`, and commit it"
        raise ConfigError(what) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} holds no contracts: {error}; restore it from the repository") from error
    if found.format != FORMAT:
        raise ConfigError(f"{path} has format {found.format}, this fleet knows {FORMAT}; use the newer fleet")
    return found


def write(path: Path, lock: LockFile) -> None:
    lock.classes = dict(sorted(lock.classes.items()))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(lock), indent=2) + b"\n")
