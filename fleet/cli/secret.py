"""`fleet secret`: the cluster secret, and replacing it while everything runs."""

import shlex
import sys
from pathlib import Path
from time import time
from typing import Any

import click

from fleet.cli.connection import Console, client, prepared_client
from fleet.cli.options import DURATION
from fleet.cli.outcome import DEGRADED, fail
from fleet.client.secret_api import NodeSecrets
from fleet.errors import ConfigError
from fleet.roles import ROLES
from fleet.secret import (
    FileKeyring,
    derive_secret,
    find_secret,
    make_secret,
    role_of,
    time_text,
    write_new,
)


@click.group()
def secret() -> None:
    """Make, show and replace the cluster secret, which everyone needs who connects."""


@secret.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def make(file: Path) -> None:
    """Write a new random secret to FILE, which nobody else may read."""
    if file.exists():
        raise click.ClickException(f"{file} is there already: it is not replaced")
    try:
        make_secret(file.absolute())
    except OSError as error:
        raise click.ClickException(cannot_make(file, error)) from None
    click.echo(f"{file}: a new secret; nodes and clients take it by --secret-file")


@secret.command()
@click.argument("role", type=click.Choice(list(ROLES)))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--groups",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="For these groups only: a name, or acct/* for all whose names begin so. May be repeated.",
)
@click.option(
    "--valid",
    "valid_s",
    type=DURATION,
    metavar="DURATION",
    help="How long, such as 30d; by default as long as the secret.",
)
@click.option("--secret-file", type=click.Path(dir_okay=False), metavar="FILE",
              help="The cluster's secret; by default where all commands take it from.")  # fmt: skip
def derive(
    role: str, file: Path, patterns: tuple[str, ...], valid_s: float | None, secret_file: str | None
) -> None:
    """Write to FILE a secret that is good for ROLE only, and for as long as the cluster's secret is.

    \b
    reader    reads and watches groups
    caller    also calls them, and creates groups of classes that the nodes know
    deploy    also brings code: classes by value, arguments of any kind
    operator  reads groups, and changes nodes, members and settings

    It connects to nothing and needs the cluster's secret here. Take FILE as --secret-file where it is used.
    """
    until = 0.0 if valid_s is None else time() + valid_s
    try:
        held = find_secret(secret_file=secret_file).accepted
        lines = [derive_secret(one, role, patterns, until=until) for one in held]
        write_new(file, b"".join(line + b"\n" for line in lines))
    except ConfigError as error:
        fail(click.get_current_context().command_path, error, as_json=False)
    except FileExistsError:
        raise click.ClickException(f"{file} is there already: it is not replaced") from None
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from None
    click.echo(f"{file}: a secret of the role {words_on_role(lines[0])}; take it by --secret-file")


@secret.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False))
def show(file: str | None) -> None:
    """Say what the secret in FILE is good for, or the one that commands take. It connects to nothing."""
    try:
        found = find_secret(secret_file=file)
    except ConfigError as error:
        fail(click.get_current_context().command_path, error, as_json=False)
    for line, fingerprint in zip(found.accepted, found.fingerprints(), strict=True):
        click.echo(f"{fingerprint}  {words_on_role(line)}")


def words_on_role(line: bytes) -> str:
    found = role_of(line)
    if found is None:
        return "everything: it is the cluster's secret"
    claim, until = found
    return claim.in_words() + (f", until {time_text(until)}" if until else "")


@secret.command()
@client
def status(console: Console) -> int | None:
    """Show which secrets each node has, by their fingerprints, never the secrets.

    Exits with 4 if a node does not answer, or not all show the same one.
    """
    nodes = console.fleet.secrets()
    own = console.fleet.keyring
    console.show({"nodes": nodes, "client": {"accepted": own.fingerprints(), "source": own.source}})
    rows = [(str(one.node), *words_on(one.accepted), one.source) for one in nodes]
    console.table(
        ("PROCESS", "SHOWS", "ALSO ACCEPTS", "FROM"),
        [*rows, ("this client", *words_on(own.fingerprints()), own.source)],
    )
    shown = {one.accepted[:1] for one in nodes}
    return None if len(shown) == 1 and () not in shown else DEGRADED


def accept_new(options: dict[str, Any], arguments: dict[str, Any]) -> None:
    """Have the new secret in its file before any node has it, and accept it from nodes that show it already,
    since a former run may have been interrupted.

    Raises:
        ConfigError: the file cannot be made or has no secret that will do, or is that of the present secret.
    """
    file: Path = options["file"]
    own = find_secret(secret_file=arguments["secret_file"])
    if isinstance(own, FileKeyring) and file.exists() and file.samefile(own.path):
        raise ConfigError(f"{file} has the secret that is to be replaced: name a FILE for the new one")
    try:
        make_secret(file.absolute())
    except OSError as error:
        raise ConfigError(cannot_make(file, error)) from None
    own.take(tuple(dict.fromkeys((*own.accepted, find_secret(secret_file=file).shown))))
    arguments["secret"] = own


@secret.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@prepared_client(accept_new)
def rotate(console: Console, file: Path) -> None:
    """Make all nodes show the secret in FILE, and accept both. Nothing is restarted.

    FILE is made first, with a new secret, unless it is there: whatever happens then, you have it. After an
    interruption repeat the command with the same FILE.

    Each node's file gets the new secret as its first line, and so does this host's. Copy FILE to the hosts of
    clients and programs, which read it again by themselves; then `fleet secret retire`.
    """
    nodes = console.fleet.rotate_secret(find_secret(secret_file=file).shown)
    shown, *others = nodes[0].accepted
    retire = "fleet secret retire"
    if not console.fleet.keyring.is_kept:
        console.note(
            f"{console.fleet.keyring.source} cannot be written from here: have it say what {file} says"
        )
        retire = f"fleet secret retire --secret-file {shlex.quote(str(file))}"
    tell(console, nodes,
         f"all nodes show {shown} and accept {'the former secret, too' if others else 'no other'}",
         f"copy {file} to the clients' hosts, then: {retire}")  # fmt: skip


@secret.command()
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@client
def retire(console: Console, is_sure: bool) -> None:
    """Make all nodes accept the secret alone that they show.

    Whoever has only a former one is cut off within seconds.
    """
    shown = console.fleet.keyring.fingerprints()[0]
    if not is_sure:
        if console.as_json or not sys.stdin.isatty():
            raise ConfigError("it cuts off whoever has only a former secret: say --yes")
        does, name = f"cuts off whoever does not have {shown}", console.fleet.name
        typed = click.prompt(f"This {does}. Type the cluster's name, {name}", err=True)
        if typed != name:
            raise ConfigError(f"{typed!r} is not {name!r}: nothing was changed")
    tell(console, console.fleet.retire_secrets(), f"all nodes accept {shown} alone")


def cannot_make(file: Path, error: OSError) -> str:
    return f"{file} cannot be made: {error.strerror}; name one in a directory that can be written"


def tell(console: Console, nodes: list[NodeSecrets], *lines: str) -> None:
    console.show({"nodes": nodes}, *lines)


def words_on(accepted: tuple[str, ...]) -> tuple[str, str]:
    return (accepted[0], ", ".join(accepted[1:])) if accepted else ("does not answer", "")
