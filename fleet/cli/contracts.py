"""`fleet contracts`: what callers and states rely on, in a file, compared in CI. Needs no node."""

import sys
from pathlib import Path
from typing import Any

import click

from fleet.cli.group import load_class
from fleet.cli.outcome import DONE, FAILED, JSON, fail, to_json
from fleet.contracts import lock_file
from fleet.contracts.compare import changes, removed
from fleet.contracts.describe import contract_of
from fleet.contracts.difference import Difference
from fleet.contracts.lock_file import LockFile
from fleet.errors import ConfigError, FleetError

FILE = click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path), default=lock_file.NAME,
    show_default=True, help="The lock file.",
)  # fmt: skip
CLASSES = click.argument("names", metavar="[MODULE:CLASS]...", nargs=-1)


@click.group()
def contracts() -> None:
    """Keep what callers and states rely on in a file, and compare.

    Nothing here needs a node. Commit the file beside the classes, and let CI run `fleet contracts check`.
    """


@contracts.command()
@CLASSES
@FILE
@click.option(
    "--drop", multiple=True, metavar="MODULE:CLASS", help="Take it out of the file; may be repeated."
)
@JSON
def update(names: tuple[str, ...], path: Path, drop: tuple[str, ...], as_json: bool) -> None:
    """Write the contracts of these classes, or of all in the file, as they are now."""
    try:
        lock = lock_file.read(path) if path.exists() or not names else LockFile()
        for name in drop:
            if lock.classes.pop(name, None) is None:
                raise ConfigError(f"{path} has no {name}; it has: {', '.join(lock.classes) or 'none'}")
        found: dict[str, list[Difference]] = {}
        for name in names or ([] if drop else list(lock.classes)):
            contract = contract_of(load_class(name, by_value=False))
            before = lock.classes.get(name)
            found[name] = changes(before, contract) if before is not None else []
            lock.classes[name] = contract
    except FleetError as error:
        fail(click.get_current_context().command_path, error, as_json)
    lock_file.write(path, lock)
    _show(path, found, as_json, f"{path} holds {_counted(len(lock.classes))}")


@contracts.command()
@CLASSES
@FILE
@JSON
def check(names: tuple[str, ...], path: Path, as_json: bool) -> None:
    """Compare these classes, or all in the file, with it.

    Exits with 1 if a difference breaks callers (a call of a program that knows the class as it was) or
    states (what is stored).
    """
    found: dict[str, list[Difference]] = {}
    try:
        lock = lock_file.read(path)
        for name in names or lock.classes:
            if name not in lock.classes:
                raise ConfigError(f"{path} has no {name}; add it by `fleet contracts update {name}`")
            found[name] = _compared(lock, name)
    except FleetError as error:
        fail(click.get_current_context().command_path, error, as_json)
    every = [change for one in found.values() for change in one]
    breaking = sum(bool(change.breaks) for change in every)
    _show(path, found, as_json, _summary(path, len(found), len(every), breaking))
    sys.exit(FAILED if breaking else DONE)


def _summary(path: Path, classes: int, differences: int, breaking: int) -> str:
    if not differences:
        return f"{_counted(classes)} as in {path}"
    they, them = (
        ("difference that breaks", "it")
        if (breaking or differences) == 1
        else ("differences that break", "them")
    )
    if breaking:
        what = f"{breaking} {they} something, of {differences}; mend {them}, or accept {them}"
    else:
        what = f"{differences} {they} nothing; accept {them}"
    return f"{what} by `fleet contracts update`"


def _compared(lock: LockFile, name: str) -> list[Difference]:
    try:
        cls = load_class(name, by_value=False)
    except ConfigError as error:
        return removed(name, error.what)
    return changes(lock.classes[name], contract_of(cls))


def _show(path: Path, found: dict[str, list[Difference]], as_json: bool, last: str) -> None:
    if as_json:
        records: list[dict[str, Any]] = [
            {"class": name, "where": one.where, "what": one.what, "breaks": one.breaks, "remedy": one.remedy}
            for name, some in found.items()
            for one in some
        ]
        breaking = sum(bool(record["breaks"]) for record in records)
        click.echo(
            to_json({"file": str(path), "classes": list(found), "breaking": breaking, "changes": records})
        )
        return
    for name, some in found.items():
        if some:
            click.echo(name)
        for one in some:
            click.echo(f"  ✗ breaks {one.breaks}: {one}" if one.breaks else f"  ✓ {one}")
    click.echo(last)


def _counted(classes: int) -> str:
    return f"{classes} class" if classes == 1 else f"{classes} classes"
