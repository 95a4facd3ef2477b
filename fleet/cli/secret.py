"""`fleet secret`: the cluster secret, and replacing it while everything runs."""

import sys
from pathlib import Path

import click

from fleet.cli.connection import Console, client
from fleet.cli.outcome import DEGRADED
from fleet.client.secret_api import NodeSecrets
from fleet.errors import ConfigError
from fleet.secret import find_secret, make_secret, new_secret


@click.group()
def secret() -> None:
    """Make, show and replace the cluster secret, which everyone needs who connects."""


@secret.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def make(file: Path) -> None:
    """Write a new random secret to FILE, which nobody else may read."""
    if file.exists():
        raise click.ClickException(f"{file} is there already: it is not replaced")
    make_secret(file.absolute())
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


@secret.command()
@click.option("--new", "file", type=click.Path(dir_okay=False, exists=True),
              help="The new secret; by default one is made.")  # fmt: skip
@client
def rotate(console: Console, file: str | None) -> None:
    """Make all nodes show a new secret, and accept both. Nothing is restarted.

    Each node's file gets the new secret as its first line, and this host's. Copy that file to the hosts of
    clients and programs, which read it again by themselves; then `fleet secret retire`.
    """
    if file is None:
        held = console.fleet.keyring.accepted
        new = held[0] if len(held) > 1 else new_secret()  # the former run was interrupted, or is not retired
    else:
        new = find_secret(secret_file=file).shown
    nodes = console.fleet.rotate_secret(new)
    shown = nodes[0].accepted[0]
    tell(console, nodes, f"all nodes show {shown} and accept the former secret, too",
         f"copy {console.fleet.keyring.source} to the clients' hosts, then: fleet secret retire")  # fmt: skip


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


def tell(console: Console, nodes: list[NodeSecrets], *lines: str) -> None:
    console.show({"nodes": nodes}, *lines)


def words_on(accepted: tuple[str, ...]) -> tuple[str, str]:
    return (accepted[0], ", ".join(accepted[1:])) if accepted else ("does not answer", "")
