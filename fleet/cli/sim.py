"""`fleet sim`: whole fleets in simulated time, with faults; a seed that fails is shrunk and explained."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import MsgspecError, ValidationError, to_builtins

from fleet.cli.connection import count
from fleet.cli.outcome import DONE, FAILED, JSON, fail
from fleet.errors import BadArguments, FleetError

if TYPE_CHECKING:
    from fleet.sim.faults.schedule import Plan
    from fleet.sim.report.explain import Told
    from fleet.sim.search.shrink import Failure

RUNS_MAX = 400
FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def sim() -> None:
    """Simulate fleets under faults. Exits with 1 if something broke.

    Nothing here needs a cluster: all nodes are in this process, on virtual time. A seed is one history, the
    same byte for byte on every machine with the same code.
    """


@sim.command()
@click.option("--seed", type=click.IntRange(0), help="The seed that everything is drawn from.")
@click.option("--plan", "plan_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A plan written by --save, instead of a seed.")  # fmt: skip
@click.option("--shrink/--no-shrink", default=True, show_default=True,
              help="Remove what the failure does not need.")  # fmt: skip
@click.option("--runs", type=click.IntRange(1), default=RUNS_MAX, show_default=True,
              help="The most runs that shrinking may take.")  # fmt: skip
@click.option("--html", "html_file", type=FILE, help="Write a space-time diagram, one file for any browser.")
@click.option("--text", "with_events", is_flag=True, help="Also print every event of the episode.")
@click.option("--save", type=FILE, help="Write the plan of the reported episode, as JSON.")
@JSON
def run(
    seed: int | None,
    plan_file: Path | None,
    shrink: bool,
    runs: int,
    html_file: Path | None,
    with_events: bool,
    save: Path | None,
    as_json: bool,
) -> None:
    """Run one seed, and explain what happened if something broke.

    The explanation is of the shrunk episode: the fewest faults, groups, clients and nodes found to break the
    same invariant.
    """
    from fleet.sim.report.diagram import page
    from fleet.sim.report.explain import tell
    from fleet.sim.search.shrink import run as run_plan

    path = click.get_current_context().command_path
    try:
        plan = _plan(seed, plan_file)
    except BadArguments as error:
        fail(path, error, as_json)
    traced = with_events or html_file is not None
    episode, failure = run_plan(plan, tracing=traced)
    if failure is not None:
        failure = _shrunk(failure, runs, as_json) if shrink else failure
        first, (episode, failure) = failure, run_plan(failure.plan, tracing=True)
        if failure != first:
            why = f"{first.sentence!r} did not happen again: the simulation is not deterministic"
            fail(path, FleetError(why), as_json)
    told = tell(episode, failure) if failure is not None or traced else None
    if html_file is not None and told is not None:
        html_file.write_text(page(told))
    if save is not None:
        save.write_text(episode.as_done().to_json() + "\n")
    record = {
        "seed": plan.seed,
        "ok": failure is None,
        "broken": None if failure is None else failure.sentence,
        "rule": None if failure is None else failure.rule,
        "operations": episode.done,
        "virtual_ms": episode.world.now // 1000,
        "plan": to_builtins(episode.as_done()),
    }
    _show(record, told, with_events, as_json)
    if html_file is not None and not as_json:
        click.echo(f"the diagram is in {html_file}", err=True)
    sys.exit(DONE if failure is None else FAILED)


def _plan(seed: int | None, file: Path | None) -> "Plan":
    from fleet.sim.faults.schedule import Plan

    if (seed is None) == (file is None):
        raise BadArguments("give either --seed or --plan")
    if file is None:
        assert seed is not None
        return Plan(seed)
    try:
        return Plan.of_json(file.read_bytes())
    except (MsgspecError, ValidationError) as error:
        raise BadArguments(f"{file} holds no plan: {error}") from None


def _shrunk(failure: "Failure", runs_max: int, as_json: bool) -> "Failure":
    """Shrink the failure, showing progress on stderr if that is a terminal."""
    from fleet.sim.search.shrink import shrink

    is_seen = sys.stderr.isatty() and not as_json

    def tell(runs: int, plan: Any) -> None:
        if is_seen:
            says = f"shrinking: run {runs} of {runs_max} at most, {count(len(plan.faults), 'fault')} left"
            click.echo(f"\r{says:<78}", err=True, nl=False)

    least = shrink(failure, runs_max, tell=tell)
    if is_seen:
        click.echo(f"\r{'':<78}\r", err=True, nl=False)
    return least


def _show(record: dict[str, Any], told: "Told | None", with_events: bool, as_json: bool) -> None:
    from fleet.sim.report.explain import event_in_words, text

    if as_json:
        words = text(told) if told is not None else []
        click.echo(json.dumps({**record, "words": words}, ensure_ascii=False))
        return
    if record["ok"]:
        operations, virtual_s = count(record["operations"], "operation"), record["virtual_ms"] / 1000
        click.echo(f"seed {record['seed']}: nothing broke, {operations} in {virtual_s:.0f} virtual seconds")
    if told is not None and (with_events or not record["ok"]):
        click.echo("\n".join(text(told)))
    if with_events and told is not None:
        click.echo("\nEverything that happened:")
        for event in told.events:
            click.echo(f"  {event_in_words(event)}")


class Seeds(click.ParamType[Any]):
    """A, A-B, or A- without end."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from fleet.sim.search.explore import parse_seeds

        try:
            seeds = parse_seeds(value)
        except ValueError:
            self.fail(f"{value!r} is not A, A-B or A-", param, ctx)
        if seeds == range(0):
            self.fail(f"{value!r} has no seed: A-B is from A to B", param, ctx)
        return seeds


@sim.command()
@click.option("--seeds", type=Seeds(), required=True, metavar="A-B", help="Both included; A- is without end.")
@click.option("--jobs", type=click.IntRange(0), default=1, show_default=True,
              help="Processes; 0 is this one.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Start no seed after this time.")
@click.option("--report", type=FILE, help="Write a line per seed; continue this file if it exists.")
@JSON
def explore(seeds: Any, jobs: int, minutes: float | None, report: Path | None, as_json: bool) -> None:
    """Run many seeds, and list those that broke something, and the rare states that none of them reached."""
    from fleet.sim.checks.marks import missed
    from fleet.sim.search.explore import OK, Shown, Tally
    from fleet.sim.search.explore import explore as explore_seeds

    shown = Shown(len(seeds) if isinstance(seeds, range) else None)
    tally = Tally() if as_json else shown.tally
    results = None
    try:
        if as_json:
            results = explore_seeds(seeds, report, tally.add, jobs, minutes)
        else:
            with shown.bar:
                results = explore_seeds(seeds, report, shown, jobs, minutes)
    except KeyboardInterrupt:
        click.echo("stopped; the report is complete", err=True)
    broken = [result for result in (tally.broken if results is None else results) if result.verdict != OK]
    lines = [f"fleet sim run --seed {result.seed}" for result in broken]
    marks = tally.marks
    for result in results or ():
        marks |= result.marks
    if as_json:
        seeds_run = tally.seeds if results is None else len(results)
        found = [{**to_builtins(result), "run": line} for result, line in zip(broken, lines)]
        click.echo(json.dumps({"seeds": seeds_run, "broken": found, "missed": missed(marks)}))
    else:
        if missed(marks):
            click.echo("Rare states that no seed reached:")
        for name in missed(marks):
            click.echo(f"  {name}")
        click.echo(str(tally))
        for result, line in zip(broken, lines):
            click.echo(f"{result.verdict}\n  {line}")
    sys.exit(FAILED if broken else DONE)
