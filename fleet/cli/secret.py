"""`fleet secret`: the cluster secret, and replacing it while everything runs."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from fleet.cli.connection import Console, client, prepared_client
from fleet.cli.outcome import DEGRADED
from fleet.client.secret_api import NodeSecrets
from fleet.errors import ConfigError
from fleet.secret import FileKeyring, find_secret, make_secret


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
