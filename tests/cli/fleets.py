"""Nodes as processes for the tests of the command line, and the commands themselves in this process."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from fleet.cli import main
from tests.support.ports import free_ports
from tests.support.waiting import eventually

from .processes import FLEET, PATIENCE_S, environment

SECRET = "a secret of the tests, long enough"
SHOP = """
import dataclasses
import enum
import threading
import time

import fleet

class Kind(enum.Enum):
    GIFT = "gift"


@dataclasses.dataclass
class Entry:
    amount: int
    kind: Kind


class Locked(fleet.Data):
    def __init__(self) -> None:
        self.gate = threading.Lock()


class Account(fleet.Data):
    balance: int = 0

    @fleet.command
    def deposit(self, amount: int, note: str = "") -> int:
        if amount <= 0:
            raise fleet.Reject("nothing to deposit")
        self.balance += amount
        return self.balance

    @fleet.command
    def slowly(self, amount: int) -> int:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            pass
        return self.deposit(amount)

    @fleet.command
    def fail(self) -> None:
        raise ZeroDivisionError("by zero")

    @fleet.command
    def echo(self, *args: object, **kwargs: object) -> object:
        return [args, kwargs]

    @fleet.query
    def available(self) -> int:
        return self.balance

    @fleet.query
    def history(self) -> list[object]:
        return [Entry(7, Kind.GIFT), {1: {2}}, float("nan"), b"ab"]
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)


class Fleet:
    """Nodes by name, each a process; `say` is the command line of an operator elsewhere."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.addresses: dict[str, str] = {}
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.stack = ExitStack()

    def start(self, name: str, *options: str, zone: str = "", wait: bool = True) -> None:
        """Joins those that are there; the first founds."""
        joins = [f"--join={address}" for other, address in self.addresses.items() if other != name]
        joins = joins or ["--found"] * (not self.addresses)
        self.begin(name, *joins, *options, zone=zone)
        if wait:
            self.await_serving(name)

    def begin(self, name: str, *options: str, zone: str = "") -> None:
        if name not in self.addresses:
            self.addresses[name] = f"127.0.0.1:{free_ports(1)[0]}"
        self.processes[name] = process = subprocess.Popen(
            [*FLEET, "start", "--until-eof", "--name", name, "--listen", self.addresses[name],
             "--zone", zone or f"zone-{name}", *options],
            cwd=self.directory,
            env=environment(self.directory, FLEET_SECRET=SECRET, PYTHONUNBUFFERED="1"),
            stdin=subprocess.PIPE,
            stdout=(self.directory / f"{name}.out").open("w"),
            stderr=(self.directory / f"{name}.err").open("a"),
            text=True,
        )  # fmt: skip
        self.stack.enter_context(process)
        self.stack.callback(process.kill)

    def await_serving(self, name: str) -> None:
        said = self.directory / f"{name}.out"
        eventually(
            lambda: "serves" in said.read_text() or self.processes[name].poll() is not None, PATIENCE_S
        )
        assert "serves" in said.read_text(), (self.directory / f"{name}.err").read_text()

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(PATIENCE_S)

    def say(self, *arguments: str, connect: str = "") -> Said:
        """In this process: a start of Python costs more than what most commands do."""
        addresses = connect or ",".join(self.addresses.values())
        result = CliRunner().invoke(
            main, [*arguments], env={"FLEET_CONNECT": addresses, "FLEET_SECRET": SECRET}, prog_name="fleet"
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.stderr
        return Said(result.exit_code, result.stdout, result.stderr)

    @property
    def environ(self) -> dict[str, str]:
        """For commands in a process of their own."""
        return {"FLEET_CONNECT": ",".join(self.addresses.values()), "FLEET_SECRET": SECRET}

    def ask(self, *arguments: str, code: int = 0) -> Any:
        said = self.say(*arguments, "--json")
        assert said.code == code, said
        return said.json

    def until_json(self, *arguments: str, holds: Any) -> Any:
        """What the command says once it holds."""
        found: list[Any] = []

        def look() -> bool:
            said = self.say(*arguments, "--json")
            if said.code not in (0, 4):
                return False
            found[:] = [said.json]
            return bool(holds(said.json))

        eventually(look, PATIENCE_S)
        return found[0]


@contextmanager
def fleet_of(directory: Path, *names: str, options: tuple[str, ...] = ()) -> Iterator[Fleet]:
    """Nodes that are one healthy cluster."""
    directory.mkdir(exist_ok=True)
    (directory / "shop.py").write_text(SHOP)
    one = Fleet(directory)
    with one.stack:
        for name in names:
            one.start(name, *options, wait=name == names[0])
        for name in names:
            one.await_serving(name)
        one.until_json("status", holds=lambda s: len(s["nodes"]) == len(names) and s["health"] == "healthy")
        yield one


@contextmanager
def inside(directory: Path) -> Iterator[None]:
    """Classes are found in the working directory."""
    before = os.getcwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)
