"""The files that `fleet config init` writes: each shows every setting, with what it is and its default."""

import ipaddress
from collections.abc import Sequence
from typing import Any

from fleet.actors.base.settings import is_name, join_endpoint, split_endpoint
from fleet.config.settings import ALL, CLIENT, DATA, NODE, SECTIONS, of_sections
from fleet.errors import ConfigError

PORT = 7400
ABOUT = {
    ALL: "# Settings of a node and of the commands on its host. Each is taken from its flag, else from its\n"
    "# environment variable, else from this file, else it has its default. Relative paths are relative to\n"
    "# this file. `fleet config check` explains mistakes, `fleet config show` tells what is in force.",
    NODE: "# -- what `fleet start` runs --",
    DATA: "# -- which code callers may use, who have no more than a role secret --",
    "log": "# -- what it logs, to stderr --",
    CLIENT: "# -- whom commands such as `fleet status` ask --",
}  # fmt: skip


def host_files(hosts: Sequence[str], secret_file: str | None) -> dict[str, str]:
    """By file name, the settings of nodes n1, n2, ... on these hosts, each host or host:port, which found a
    cluster together.

    Raises:
        ConfigError: an invalid host, or an even number of them.
    """
    founders = tuple(map(_with_port, hosts))
    if len(founders) % 2 == 0 or len(set(founders)) < len(founders):
        raise ConfigError(f"founders are an odd number of different hosts, not {', '.join(hosts)}")
    files = {}
    for number, (host, address) in enumerate(zip(hosts, founders), 1):
        own: dict[str, Any] = {"name": f"n{number}", "zone": f"zone-{number}", "connect": founders}
        own |= {"secret_file": secret_file} if secret_file else {}
        own |= {"data_dir": f"data-n{number}"} if _is_loopback(address) else {"data_dir": "/var/lib/fleet"}
        own |= {"founders": founders} if len(founders) > 1 else {}
        files[f"n{number}.toml"] = text({**own, **_addresses(address)})
    return files


def one_file() -> str:
    """The settings of a node that is alone on its host."""
    return text({"name": "n1", "data_dir": "data-n1"})


def text(values: dict[str, Any]) -> str:
    """A file with these values, by the settings' names; all others stand there as comments."""
    parts = []
    for section in SECTIONS:
        lines = [ABOUT[section], *([f"[{section}]"] if section else [])]
        for one in of_sections([section]):
            if one.not_in_files:
                continue
            lines.append(f"\n# {one.what}\n# {one.flag}, ${one.variable}; default: {one.default_text()}")
            shown = one.example if one.example is not None else one.default
            given = values.get(one.name)
            if given is not None:
                lines.append(f"{one.key} = {one.kind.to_toml(given)}")
            elif shown is not None:
                lines.append(f"# {one.key} = {one.kind.to_toml(shown)}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _with_port(host: str) -> str:
    has_port = host.rpartition("]")[2].startswith(":") if host.startswith("[") else host.count(":") == 1
    address = host if has_port else join_endpoint(host.strip("[]"), PORT)
    split_endpoint(address)
    return address


def _addresses(address: str) -> dict[str, str]:
    """A name may stand for a loopback address on its own host: listen everywhere, and say the name."""
    host, port = split_endpoint(address)
    return {"listen": f"0.0.0.0:{port}", "advertise": address} if is_name(host) else {"listen": address}


def _is_loopback(address: str) -> bool:
    host, _ = split_endpoint(address)
    return host == "localhost" or not is_name(host) and ipaddress.ip_address(host).is_loopback
