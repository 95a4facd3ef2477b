"""`fleet config`: the settings of a group, by name; those of nodes and commands are in `configuration`."""

from typing import Any

import click
import msgspec
from msgspec.structs import asdict

from fleet.cli.configuration import check, init, show
from fleet.cli.connection import Console, client
from fleet.errors import ConfigError
from fleet.raft.config import GroupConfig


@click.group()
def config() -> None:
    """Settings of nodes and of commands; and those of a group, to change them."""


for command in (check, init, show):
    config.add_command(command)


@config.command()
@click.argument("name", metavar="GROUP")
@click.argument("settings", metavar="KEY=VALUE...", nargs=-1, required=True)
@client
def change(console: Console, name: str, settings: tuple[str, ...]) -> None:
    """Set KEY=VALUE... of GROUP on all its members; `fleet group show --json` shows the settings."""
    console.know_group(name)
    before = console.fleet.status(name).config
    after = changed(before, settings)
    revision = console.fleet.change_config(name, after)
    old, new = asdict(before), asdict(after)
    changes = {key: [old[key], new[key]] for key in new if old[key] != new[key]}
    lines = [f"{name}: {key} {was} -> {now}" for key, (was, now) in changes.items()]
    value = {"group": name, "changed": changes, "config": new}
    console.changed(revision, value, *(lines or [f"{name}: unchanged, all of this was set already"]))


def changed(config: GroupConfig, settings: tuple[str, ...]) -> GroupConfig:
    """The settings with these changes. Raises ConfigError for an unknown key or an invalid value."""
    values: dict[str, Any] = asdict(config)
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in values:
            raise ConfigError(f"{setting!r} is not KEY=VALUE; keys: {', '.join(sorted(values))}")
        values[key] = value
    try:
        return msgspec.convert(values, GroupConfig, strict=False)
    except msgspec.ValidationError as error:
        what, _, key = str(error).partition(" - at `$.")
        key = key.rstrip("`")
        raise ConfigError(f"{key}={values[key]!s:.60}: {what}" if key in values else what) from None
