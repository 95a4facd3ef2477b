"""What values the settings of a node may have. Each check raises ConfigError, saying what is valid."""

import os
from collections.abc import Sequence

from fleet.actors.base.settings import split_endpoint
from fleet.cluster.commands import PURGE_AFTER_MS_MIN
from fleet.cluster.founding_messages import check_founders
from fleet.errors import ConfigError

NAME_MAX = 200
"""Characters of a node's name, which is part of its members' ids."""
EXECUTORS_MAX = 64
EXECUTOR_MEMORY_MIN = 64 << 20


def check_name(name: str) -> None:
    if not name or any(character in "@#/, \t\n" or not character.isprintable() for character in name):
        raise ConfigError(f"a node's name is printable, not empty, and without @ # / , or blanks: {name!r}")
    if len(name) > NAME_MAX:
        raise ConfigError(f"a node's name has at most {NAME_MAX} characters, not {len(name)}")


def check_data_dir(data_dir: str | os.PathLike[str]) -> None:
    if data_dir == "":
        raise ConfigError("data_dir is empty: omit it for fleet-NAME, or name a directory")


def check_weight(weight: float) -> None:
    if not 0 <= weight < float("inf"):
        raise ConfigError(f"weight must be 0 or more, not {weight}")


def check_purge_after(seconds: float) -> None:
    if not seconds * 1000 >= PURGE_AFTER_MS_MIN:
        least = f"at least {PURGE_AFTER_MS_MIN // 1000} s, since nodes show themselves about once a second"
        raise ConfigError(f"purge_after must be {least}; {seconds} s is less")


def check_executors(count: int) -> None:
    if not 0 <= count <= EXECUTORS_MAX:
        raise ConfigError(f"executors must be 0 to {EXECUTORS_MAX}, not {count}")


def check_executor_memory(memory_max: int) -> None:
    """0 is for a share of the host's."""
    if memory_max and memory_max < EXECUTOR_MEMORY_MIN:
        least = f"at least {EXECUTOR_MEMORY_MIN} bytes, what an empty one takes"
        raise ConfigError(f"executor_memory_max must be {least}, not {memory_max}")


def check_endpoint(address: str) -> None:
    split_endpoint(address)


def check_endpoints(addresses: Sequence[str]) -> None:
    if isinstance(addresses, str):
        raise ConfigError(f"this is a list of host:port, not a text: {addresses!r}")
    for address in addresses:
        split_endpoint(address)


def check_modules(names: Sequence[str]) -> None:
    if isinstance(names, str):
        raise ConfigError(f"this is a list of names of modules, not a text: {names!r}")
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"{name!r:.80} is no name of a module, such as myapp.accounts")


def check_timeout(seconds: float) -> None:
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"timeout must be more than 0 seconds, not {seconds:g}")


def check_places(
    listen: str, join: Sequence[str], founders: Sequence[str], found: bool | None, health: str | None
) -> None:
    """Addresses that contradict each other or `found`."""
    if join and founders:
        raise ConfigError("a node joins a cluster or is one of its founders: join or founders, not both")
    if found and (join or founders):
        raise ConfigError("found is for a node that founds alone, without join and without founders")
    if founders:
        check_founders(founders, founders[0])  # a node that is not listed joins the cluster that they found
    if health == listen and split_endpoint(listen)[1]:
        raise ConfigError(f"health and listen are the same address, {listen}: choose another port for health")
