"""The settings in force. For each of them: the flag, else the environment variable, else the file, else the
default. The file is that of --config, else of $FLEET_CONFIG, else `fleet.toml` in the working directory."""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from fleet.config.checks import check_places
from fleet.config.file import ConfigFile, load
from fleet.config.settings import DATA, NODE, OF_A_PROCESS, SETTINGS, Setting, of_sections
from fleet.errors import ConfigError

CONFIG = "FLEET_CONFIG"
NO_NAME = 'a node needs a name: --name, or $FLEET_NODE_NAME, or name = "n1" in section [node] of fleet.toml'
DEFAULT_FILE = "fleet.toml"
FLAG, ENVIRONMENT, FILE, DEFAULT = "flag", "environment", "file", "default"


class Effective(Struct, frozen=True):
    """A value and where it comes from; `where` says it exactly, such as "n1.toml:7"."""

    setting: Setting
    value: Any
    origin: str
    where: str


class Configuration(Struct, frozen=True):
    """By name of the setting."""

    found: dict[str, Effective]

    def __getitem__(self, name: str) -> Any:
        return self.found[name].value

    def where(self, name: str) -> str:
        """The place in words, for an error."""
        one = self.found[name]
        return f"{one.setting.key} from {one.where}"

    @property
    def secret_file(self) -> str | None:
        """For `fleet.secret.find_secret`, which reads the variables itself: they override a file's."""
        one = self.found["secret_file"]
        is_overridden = "FLEET_SECRET" in os.environ or "FLEET_SECRET_FILE" in os.environ
        return None if one.origin != FLAG and is_overridden else one.value

    def values(self, *but: str) -> dict[str, Any]:
        return {name: one.value for name, one in self.found.items() if name not in but}


def find_file(path: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """The file to read; "" for none. An empty $FLEET_CONFIG says that there is none."""
    if path is not None:
        return path
    named = environ.get(CONFIG)
    if named is not None:
        return named
    return DEFAULT_FILE if Path(DEFAULT_FILE).exists() else ""


def configure(
    sections: Collection[str],
    flags: Mapping[str, Any],
    path: str | None = None,
    environ: Mapping[str, str] = os.environ,
    flag_names: str = "--",
) -> Configuration:
    """The settings of these sections. `flags` are by name; None: not given.

    Raises:
        ConfigError: the file cannot be read, or a value is invalid; says which, from where, and what is
            valid.
    """
    where = find_file(path, environ)
    file = load(where) if where else ConfigFile("")
    return Configuration({
        one.name: _effective(one, flags, environ, file, flag_names) for one in of_sections(sections)
    })  # fmt: skip


def _effective(
    setting: Setting, flags: Mapping[str, Any], environ: Mapping[str, str], file: ConfigFile, flag_names: str
) -> Effective:
    given = flags.get(setting.name)
    if given is not None:
        where = setting.flag if flag_names == "--" else f"{setting.name}="
        return _checked(Effective(setting, given, FLAG, where))
    if environ.get(setting.variable):  # one that is empty is not set
        where = f"${setting.variable}"
        try:
            value = setting.kind.from_text(environ[setting.variable])
        except ValueError:
            told = "" if setting.name == "secret" else f"{environ[setting.variable]!r} is not understood: "
            raise ConfigError(f"{where}: {told}write {setting.kind.words}") from None
        return _checked(Effective(setting, value, ENVIRONMENT, where))
    if setting.name in file.values:
        line = file.lines.get(setting.place, 0)
        return Effective(setting, file.values[setting.name], FILE, f"{file.path}:{line}")
    return Effective(setting, setting.default, DEFAULT, "default")


def _checked(one: Effective) -> Effective:
    try:
        one.setting.check(one.value)
    except ConfigError as error:
        raise ConfigError(f"{one.where}: {error.what}", **error.facts) from None
    return one


PLACES = ("listen", "join", "founders", "found", "health")


def check_contradictions(configuration: Configuration) -> None:
    """Raises ConfigError for settings of a node that exclude each other; says where each comes from."""
    try:
        check_places(*(configuration[name] for name in PLACES))
    except ConfigError as error:
        given = [name for name in PLACES if configuration.found[name].origin != DEFAULT]
        where = "; ".join(map(configuration.where, given))
        raise ConfigError(f"{error.what} ({where})") from None


def strange_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that may be misspelt ones of ours, each with what was meant, in words."""
    from difflib import get_close_matches

    known = {one.variable for one in SETTINGS} | {CONFIG}
    found = []
    for name in sorted(environ):
        if name.startswith("FLEET_") and name not in known:
            near = get_close_matches(name, known, 1, 0.85)
            found += [f"${name} is not a setting: is ${near[0]} meant?"] if near else []
    return found


def client_arguments(found: Configuration) -> dict[str, Any]:
    """What `fleet.connect` takes of the settings of a command.

    Raises:
        ConfigError: there is no address.
    """
    if not found["connect"]:
        raise ConfigError(f"{found.where('connect')} is empty: write host:port,... of nodes that run")
    taken = {"addresses": found["connect"], "cluster": found["cluster"], "timeout": found["timeout"]}
    return {**taken, "secret_file": found.secret_file}


def node_arguments(found: Configuration) -> dict[str, Any]:
    """What `fleet.Node` takes of the settings of a node.

    Raises:
        ConfigError: it has no name.
    """
    if not found["name"]:
        raise ConfigError(NO_NAME)
    taken = {one.name: found[one.name] for one in of_sections([NODE, DATA]) if one.name not in OF_A_PROCESS}
    return {**taken, "cluster": found["cluster"], "secret_file": found.secret_file}
