"""`fleet config check|show|init`: the files with settings of nodes and commands."""

import sys
from pathlib import Path
from typing import Any

import click

from fleet.cli.connection import columns, count
from fleet.cli.options import configured, setting_options
from fleet.cli.outcome import JSON, USAGE, fail, to_json
from fleet.config import starter
from fleet.config.effective import (
    DEFAULT,
    DEFAULT_FILE,
    check_contradictions,
    configure,
    find_file,
    strange_variables,
)
from fleet.config.file import Problem, read
from fleet.config.settings import SECTIONS
from fleet.config.units import unit
from fleet.errors import ConfigError, FleetError
from fleet.files import make_directory
from fleet.secret import find_secret, make_secret

SECRET = "secret"
HEADINGS = ("SETTING", "VALUE", "FROM")


@click.command()
@click.argument("file", required=False)
@JSON
def check(file: str | None, as_json: bool) -> None:
    """Explain every mistake in FILE, by line, and in what the environment adds to it.

    FILE is the one that `fleet start` would read, if it is not named. Exits with 2 if something is wrong.
    """
    where = find_file(file)
    try:
        if not where:
            raise ConfigError(f"no {DEFAULT_FILE} is here: name a file, or let `fleet config init` write one")
        problems = read(where).problems or _of_all(where)
    except FleetError as error:
        fail(click.get_current_context().command_path, error, as_json)
    notes = strange_variables()
    if as_json:
        click.echo(to_json({"file": where, "problems": problems, "notes": notes}))
    else:
        for problem in problems:
            click.echo(f"✗ {problem}")
        for note in notes:
            click.echo(f"· {note}")
        if not problems:
            click.echo(f"✓ {where}: every setting is valid")
    sys.exit(USAGE if problems else 0)


def _of_all(where: str) -> list[Problem]:
    """What is wrong with a file in which each value is valid."""
    try:
        found = configure(SECTIONS, {}, where)
        check_contradictions(found)
        find_secret(secret_file=found.secret_file)
    except ConfigError as error:
        return [Problem(where, 0, "", str(error))]
    is_of_a_node = any(place.startswith("node.") for place in read(where).lines)
    if is_of_a_node and not found["name"]:
        what = 'a node needs a name: write name = "n1", or set $FLEET_NODE_NAME'
        return [Problem(where, 0, "node.name", what)]
    return []


@click.command()
@click.argument("file", required=False)
@setting_options(*SECTIONS)
@JSON
def show(file: str | None, as_json: bool, **options: Any) -> None:
    """Show the value of every setting, and where it comes from: a flag, the environment, a file, a default.

    It takes the flags of `fleet start` and of other commands, to see what they change.
    """
    options["config_file"] = file or options["config_file"]
    try:
        found = configured(options, *SECTIONS)
    except FleetError as error:
        fail(click.get_current_context().command_path, error, as_json)
    all_of_them = list(found.found.values())
    for one in all_of_them:
        if one.setting.name == "secret" and one.value is not None:
            all_of_them[all_of_them.index(one)] = type(one)(one.setting, "(hidden)", one.origin, one.where)
    if as_json:
        click.echo(to_json({
            one.setting.place: {"value": one.value, "from": one.origin, "where": one.where}
            for one in all_of_them
        }))  # fmt: skip
        return
    rows = [(one.setting.place, _shown(one), one.where) for one in all_of_them]
    for line in columns([HEADINGS, *rows]):
        click.echo(line)


def _shown(one: Any) -> str:
    return one.setting.default_text() if one.origin == DEFAULT else str(one.setting.kind.to_toml(one.value))


@click.command()
@click.argument("hosts", metavar="[HOST...]", nargs=-1)
@click.option("--nodes", type=click.IntRange(1, 99), help="So many nodes on this host, instead of HOST...")
@click.option(
    "--directory", type=click.Path(file_okay=False), default=".", help="Where to write; default: here."
)
@click.option("--force", is_flag=True, help="Replace files that exist; a secret is kept.")
@click.option("--systemd", is_flag=True, help="Print a unit for systemd, and write nothing.")
def init(hosts: tuple[str, ...], nodes: int | None, directory: str, force: bool, systemd: bool) -> None:
    """Write files with settings, commented, to start from.

    Without HOST, fleet.toml for one node on this host. With an odd number of HOSTs, n1.toml, n2.toml, ... for
    a node on each, which found a cluster together, and the secret that they share. --nodes does the same for
    several nodes on this host.
    """
    if systemd:
        click.echo(unit(own_command()), nl=False)
        return
    if hosts and nodes:
        raise click.UsageError("HOST... or --nodes, not both", click.get_current_context())
    if nodes:
        hosts = tuple(f"127.0.0.1:{starter.PORT + number}" for number in range(nodes))
    try:
        files = starter.host_files(hosts, SECRET) if hosts else {DEFAULT_FILE: starter.one_file()}
        _write(Path(directory), files, force)
    except FleetError as error:
        fail(click.get_current_context().command_path, error, as_json=False)
    shown = ", ".join(str(Path(directory, name)) for name in files)
    if not hosts:
        click.echo(f"wrote {shown}; the first start founds a cluster of one node: fleet start --found")
        return
    secret = Path(directory, SECRET)
    click.echo(f"wrote {shown}, and {secret}, which only its owner may read")
    if nodes:
        click.echo(f"start each: fleet start --config {Path(directory, 'n1.toml')}, and so on")
    else:
        click.echo(f"copy to each host its file and {secret}, and start it: fleet start --config n1.toml")


def own_command() -> str:
    """The absolute path of this `fleet` command, or of the one beside the interpreter."""
    called = Path(sys.argv[0])
    beside = Path(sys.executable).with_name("fleet")
    return str(called.absolute() if called.name == "fleet" and called.exists() else beside)


def _write(directory: Path, files: dict[str, str], force: bool) -> None:
    """Raises ConfigError if one of them exists, and writes none then."""
    taken = [name for name in files if (directory / name).exists()]
    if taken and not force:
        names = ", ".join(taken)
        raise ConfigError(f"{count(len(taken), 'file')} here already, {names}: use --force to replace them")
    make_directory(directory, 0o777)
    for name, content in files.items():
        (directory / name).write_text(content)
    if len(files) > 1:
        make_secret(directory / SECRET)  # one that exists is kept: nodes may have started with it
