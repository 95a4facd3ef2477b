"""All settings of nodes and of commands, in one table: flags, environment variables, `fleet.toml` and the
documentation are derived from it."""

from collections.abc import Callable, Collection
from typing import Any

from msgspec import Struct

from fleet.config import checks
from fleet.config.kinds import (
    COUNT,
    DURATION,
    ENDPOINT,
    ENDPOINTS,
    NUMBER,
    PATH,
    SIZE,
    SWITCH,
    TEXT,
    TEXTS,
    Kind,
    one_of,
)

ALL, NODE, DATA, LOG, CLIENT = "", "node", "data", "log", "client"
"""The sections of a file. Settings of ALL stand before the first section."""
OF_A_NODE = (ALL, NODE, DATA, LOG)
OF_A_COMMAND = (ALL, CLIENT)
OF_A_PROCESS = ("base", "drain_on_term", "until_eof")
"""Settings of a node's own process, which `fleet.Node` has not."""


def _any(value: Any) -> None:
    pass


class Setting(Struct, frozen=True, kw_only=True):
    section: str
    key: str
    kind: Kind
    what: str
    default: Any = None
    """None: there is none, or `shown_default` says what it is."""
    shown_default: str = ""
    other_flag: str = ""
    """The flag without its dashes, where it is not the key."""
    off_flag: str = ""
    """Of a switch that is on by default, the flag that turns it off."""
    example: Any = None
    """A value that would be written in a file, if that is not the default."""
    check: Callable[[Any], None] = _any
    not_in_files: str = ""
    """Why it has no place in a file, and what to do instead."""
    has_flag: bool = True

    @property
    def name(self) -> str:
        """Unique; the parameter of functions."""
        return f"{self.section}_{self.key}" if self.section in (DATA, LOG) else self.key

    @property
    def flag(self) -> str:
        return f"--{(self.other_flag or self.name).replace('_', '-')}" if self.has_flag else ""

    @property
    def variable(self) -> str:
        section = "" if self.section in (ALL, CLIENT) else f"{self.section}_"
        return f"FLEET_{section}{self.key}".upper()

    @property
    def place(self) -> str:
        """Its name in a file."""
        return f"{self.section}.{self.key}" if self.section else self.key

    def default_text(self) -> str:
        if self.shown_default or self.default is None or self.default == ():
            return self.shown_default or "none"
        return self.kind.to_toml(self.default)


ONCE = "it is for one start only: use the flag"
SETTINGS = (
    Setting(section=ALL, key="cluster", kind=TEXT, default="fleet",
            what="Cluster id, the same on all nodes and clients."),
    Setting(section=ALL, key="secret_file", kind=PATH, example="secret",
            shown_default="~/.config/fleet/secret, made when missing",
            what="File with the cluster secret, the same on all nodes and clients."),
    Setting(section=ALL, key="secret", kind=TEXT, has_flag=False,
            not_in_files="a secret does not belong in it: name a file, as secret_file",
            what="The cluster secret itself, instead of a file."),
    Setting(section=NODE, key="name", kind=TEXT, example="n1", check=checks.check_name,
            shown_default="none; required",
            what="Unique in the cluster; always the same for one directory."),
    Setting(section=NODE, key="listen", kind=ENDPOINT, default="127.0.0.1:7400", check=checks.check_endpoint,
            what="Where it takes links of nodes and clients; port 0 picks one."),
    Setting(section=NODE, key="data_dir", kind=PATH, shown_default="fleet-NAME", example="data",
            check=checks.check_data_dir, what="Its own directory, created when missing."),
    Setting(section=NODE, key="advertise", kind=ENDPOINT, check=checks.check_endpoint,
            shown_default="the address of listen", example="n1.example:7400",
            what="Where others reach this node, if not at the address of listen."),
    Setting(section=NODE, key="join", kind=ENDPOINTS, default=(), check=checks.check_endpoints,
            example=("127.0.0.1:7400",),
            what="Nodes of the cluster to join; one that answers is enough."),
    Setting(section=NODE, key="founders", kind=ENDPOINTS, default=(), check=checks.check_endpoints,
            other_flag="founder", example=("127.0.0.1:7400", "127.0.0.1:7401", "127.0.0.1:7402"),
            what="The nodes that found the cluster together: an odd number, the same list on each."),
    Setting(section=NODE, key="found", kind=SWITCH, default=False, not_in_files=ONCE,
            what="Found a cluster alone, in an empty directory; only once."),
    Setting(section=NODE, key="zone", kind=TEXT, default="default",
            what="Its failure domain, such as a rack; replicas are spread over zones."),
    Setting(section=NODE, key="base", kind=one_of("fleet", "multiprocTCPBase"), default="fleet",
            example="multiprocTCPBase",
            what="What its actors run on: many in a process, or Thespian's own base, a process each."),
    Setting(section=NODE, key="weight", kind=NUMBER, default=1.0, check=checks.check_weight,
            what="Its share of members, relative to other nodes; 0 for none."),
    Setting(section=NODE, key="active", kind=SWITCH, default=True, off_flag="inactive",
            what="Whether it hosts groups before `fleet node activate`."),
    Setting(section=NODE, key="executors", kind=COUNT, default=1, check=checks.check_executors,
            what="Processes for users' objects and code; 0: in the node's own, for trusted, fast code."),
    Setting(section=NODE, key="executor_memory_max", kind=SIZE, default=0, example=2 << 30,
            check=checks.check_executor_memory, shown_default="3/4 of the host's memory, shared",
            what="Memory that one executor may use."),
    Setting(section=NODE, key="purge_after", kind=DURATION, default=600.0, check=checks.check_purge_after,
            what="How long a node may be unreachable before a majority purges it; set by founders."),
    Setting(section=NODE, key="drain_on_term", kind=DURATION, default=0.0, example=60.0,
            shown_default="0: stop at once",
            what="On SIGTERM leave the cluster first, within this time."),
    Setting(section=NODE, key="health", kind=ENDPOINT, check=checks.check_endpoint,
            shown_default="none: off", example="127.0.0.1:7480",
            what="Where /live and /ready answer over HTTP."),
    Setting(section=NODE, key="until_eof", kind=SWITCH, default=False, not_in_files=ONCE,
            what="Stop when stdin is closed, as when the parent dies."),
    Setting(section=DATA, key="modules", kind=TEXTS, default=(), check=checks.check_modules,
            other_flag="data-module", example=("myapp.accounts",),
            what="Modules with whose data classes callers may create groups; also what is below them."),
    Setting(section=LOG, key="level", kind=one_of("debug", "info", "warning", "error"), default="warning",
            example="info", what="What is logged to stderr: this and what is worse."),
    Setting(section=LOG, key="format", kind=one_of("text", "json"), default="text", example="json",
            what="Lines of text, or one JSON object a line."),
    Setting(section=CLIENT, key="connect", kind=ENDPOINTS, default=("127.0.0.1:7400",),
            check=checks.check_endpoints,
            what="Nodes that commands ask; one that answers is enough."),
    Setting(section=CLIENT, key="timeout", kind=DURATION, default=10.0, check=checks.check_timeout,
            what="How long a call may take."),
)  # fmt: skip
BY_NAME = {one.name: one for one in SETTINGS}
SECTIONS = (ALL, NODE, DATA, LOG, CLIENT)


def of_sections(sections: Collection[str]) -> tuple[Setting, ...]:
    return tuple(one for one in SETTINGS if one.section in sections)


def check_values(**values: Any) -> None:
    """Check values by the names of their settings. Raises ConfigError; None is always valid."""
    for name, value in values.items():
        if value is not None:
            BY_NAME[name].check(value)
