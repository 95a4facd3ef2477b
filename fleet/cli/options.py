"""Options of commands, made of the table of settings."""

from collections.abc import Callable, Collection
from typing import Any

import click

from fleet.config.effective import Configuration, configure
from fleet.config.kinds import DURATION as DURATIONS
from fleet.config.kinds import ENDPOINTS, SWITCH, TEXTS, Kind
from fleet.config.settings import Setting, of_sections

CONFIG = "config_file"


class Value(click.ParamType[Any]):
    """A value that a kind of setting reads."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.name = kind.metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.kind.from_text(value)
        except ValueError:
            self.fail(
                f"{value!r} is not understood: write {self.kind.words.replace(chr(34), '')}", param, ctx
            )


DURATION = Value(DURATIONS)


def _flattened(ctx: click.Context, option: click.Parameter, given: Collection[tuple[str, ...]]) -> Any:
    return tuple(address for part in given for address in part) if given else None


def _option(setting: Setting) -> Callable[[Any], Any]:
    what = f"{setting.what}  [{setting.variable}; default: {setting.default_text()}]"
    if setting.kind is SWITCH:
        on = setting.flag
        off = f"--{setting.off_flag}" if setting.off_flag else f"--no-{on[2:]}"
        return click.option(f"{on}/{off}", setting.name, default=None, help=what)
    settings: dict[str, Any] = {"type": Value(setting.kind), "metavar": setting.kind.metavar, "help": what}
    if setting.kind in (ENDPOINTS, TEXTS):
        settings |= {"multiple": True, "callback": _flattened}
        settings["help"] = f"May be repeated, or a list with commas. {what}"
    return click.option(setting.flag, setting.name, **settings)


def setting_options(*sections: str) -> Callable[[Any], Any]:
    """Adds --config, and the flags of the settings in these sections."""
    options = [
        click.option(
            "--config", CONFIG, type=click.Path(dir_okay=False), metavar="FILE",
            help="File with settings.  [FLEET_CONFIG; default: fleet.toml, if there is one]",
        ),
        *(_option(one) for one in of_sections(sections) if one.has_flag),
    ]  # fmt: skip

    def add(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def configured(options: dict[str, Any], *sections: str) -> Configuration:
    """Takes the options that `setting_options` has added out of `options`.

    Raises:
        ConfigError: as `fleet.config.effective.configure`.
    """
    path = options.pop(CONFIG)
    flags = {one.name: options.pop(one.name) for one in of_sections(sections) if one.name in options}
    return configure(sections, flags, path)
