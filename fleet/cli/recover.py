"""`fleet recover`: what survives of a cluster continues without the nodes that are lost for good."""

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from fleet.actors.client.cluster_pin import uid_text
from fleet.actors.node.stopped import apply_recovery, read_report
from fleet.cli.connection import count
from fleet.cli.directory import read_directory
from fleet.cli.outcome import DEGRADED, JSON, fail, to_json
from fleet.cluster.recovery import (
    CONFLICT,
    KEPT,
    LOST,
    RECOVERED,
    GroupPlan,
    RecoveryPlan,
    make_plan,
)
from fleet.cluster.recovery_reports import NodeReport
from fleet.errors import CannotRecover, ConfigError, FleetError
from fleet.raft.ids import NodeName
from fleet.storage import LmdbStore

audit = logging.getLogger("fleet.audit")


@click.command()
@click.option("--data-dir", "data_dirs", multiple=True, required=True, type=click.Path(file_okay=False),
              help="Of a survivor on this host, which is stopped; may be repeated.")  # fmt: skip
@click.option("--lost", required=True, help="The nodes that are lost for good: their names, with commas.")
@click.option("--report", "files", multiple=True, type=click.Path(dir_okay=False, exists=True),
              help="What `fleet doctor --data-dir DIR --json` says of a survivor. Repeat it.")  # fmt: skip
@click.option("--plan", "is_plan_only", is_flag=True, help="Show the plan and change nothing.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@JSON
def recover(
    data_dirs: tuple[str, ...],
    lost: str,
    files: tuple[str, ...],
    is_plan_only: bool,
    is_sure: bool,
    as_json: bool,
) -> None:
    """Continue without nodes that are lost for good, where they were a majority of a group.

    Run it on the host of each survivor while all survivors are stopped, everywhere with the --report of each:
    every host then makes the same plan. What only the lost nodes have is given up. A lost node that returns
    is refused. It shows the plan, and asks for the cluster's name. Exits with 4 if a group has no survivor.
    """
    path = click.get_current_context().command_path
    try:
        here = {report.node: (where, report) for where in data_dirs for report in [read_directory(where)]}
        reports = _reports(here, files)
        names = [NodeName(name.strip()) for name in lost.split(",") if name.strip()]
        plan = make_plan(list(reports.values()), names)
        open_here = _still_to_do(plan, here, reports)
        if not as_json:
            for line in words(plan):
                click.echo(line)
        applies = open_here if plan.with_action(RECOVERED) and not is_plan_only else []
        if applies and not is_sure:
            _ask(plan, as_json)
        for node in applies:
            _apply(plan, *here[node])
        if as_json:
            uids = {"uid": uid_text(plan.uid), "new_uid": uid_text(plan.new_uid)}
            click.echo(to_json({**msgspec.to_builtins(plan), **uids, "applied": applies}))
        elif not is_plan_only:
            click.echo(_done(plan, applies))
    except FleetError as error:
        fail(path, error, as_json)
    sys.exit(DEGRADED if plan.with_action(LOST) or plan.with_action(CONFLICT) else 0)


def _reports(
    here: dict[NodeName, tuple[str, NodeReport]], files: Sequence[str]
) -> dict[NodeName, NodeReport]:
    """Of all survivors. A file is what a directory here was: it may have been changed by this plan."""
    reports: dict[NodeName, NodeReport] = {}
    for file in files:
        try:
            report = msgspec.json.decode(Path(file).read_bytes(), type=NodeReport)
        except msgspec.MsgspecError as error:
            what = f"{file} is no report of `fleet doctor --data-dir DIR --json`: {error}"
            raise ConfigError(what) from None
        if reports.setdefault(report.node, report) != report:
            raise CannotRecover(f"two different reports are of node {report.node}", node=report.node)
    for node, (_, report) in here.items():
        reports.setdefault(node, report)
    return reports


def _still_to_do(
    plan: RecoveryPlan,
    here: dict[NodeName, tuple[str, NodeReport]],
    reports: dict[NodeName, NodeReport],
) -> list[NodeName]:
    """The nodes here to whose directories the plan is not applied yet.

    Raises:
        CannotRecover: a directory is not as its report says.
    """
    changed = [node for node, (_, report) in here.items() if report != reports[node]]
    for node in changed:
        if plan.id not in here[node][1].recoveries:
            what = (
                f"the directory of node {node} has changed since its report: leave it stopped, report again"
            )
            raise CannotRecover(what, node=node)
    return [node for node in here if node not in changed]


def _ask(plan: RecoveryPlan, as_json: bool) -> None:
    """Raises ConfigError if there is no terminal to ask at, or another name is typed."""
    does = f"gives up for good what only {', '.join(plan.lost)} have"
    if as_json or not sys.stdin.isatty():
        raise ConfigError(f"this {does}; to do so: `fleet recover --yes`, with the same options")
    typed = click.prompt(f"This {does}. Type the cluster's name, {plan.cluster}", err=True)
    if typed != plan.cluster:
        raise ConfigError(f"{typed!r} is not {plan.cluster!r}: nothing was changed")


def _apply(plan: RecoveryPlan, where: str, report: NodeReport) -> None:
    store = LmdbStore(where, report.cluster, report.node)
    try:
        if read_report(store) != report:
            what = f"the directory of node {report.node} has changed meanwhile: leave it stopped, try again"
            raise CannotRecover(what, node=report.node)
        done = apply_recovery(store, plan, report, round(time.time() * 1000))
    finally:
        store.close()
    audit.warning(
        "node=%s recovery %s: cluster %s continues as %s without %s; groups recovered here: %s",
        report.node, plan.id, uid_text(plan.uid), uid_text(plan.new_uid), ", ".join(plan.lost),
        ", ".join(one.group for one in done) or "none",
    )  # fmt: skip


# -- in words ----------------------------------------------------------------------------------------


def words(plan: RecoveryPlan) -> list[str]:
    """The plan, a line a group that does not keep its majority."""
    survive, lost = ", ".join(plan.survivors), ", ".join(plan.lost)
    lines = [f"plan {plan.id} for cluster {plan.cluster} {uid_text(plan.uid)}: {survive} survive, not {lost}"]
    if plan.recovers_cluster:
        lines.append(f"the cluster continues as {uid_text(plan.new_uid)}, and {lost} are purged")
    elif plan.with_action(RECOVERED):
        lines.append(f"the cluster itself keeps its majority: purge {lost} there, by `fleet node purge NAME`")
    for one in plan.groups:
        if one.action != KEPT:
            lines += _words_on(one)
    kept = [one.group for one in plan.with_action(KEPT)]
    if kept:
        lines.append(f"{count(len(kept), 'group')} unchanged, a majority survives: {', '.join(kept)}")
    lines += [
        f"{group} on {node} is kept aside: the cluster does not know it" for node, group in plan.unknown
    ]
    return lines


def _words_on(one: GroupPlan) -> list[str]:
    if one.action == LOST:
        return [f"✗ {one.group} is lost: {one.why or 'no survivor has its data'}"]
    if one.action == CONFLICT:
        return [f"✗ {one.group} is left as it is, survivors differ in what is committed: {one.why}"]
    nodes = ", ".join(seat.node for seat in one.continued)
    ends = f"whose log ends at entry {one.last_index}, known to be committed up to {one.commit}"
    return [
        f"{one.group} continues on {nodes} from {one.source}, {ends}",
        f"  lost: whatever the lost nodes acknowledged from entry {one.last_index + 1} on",
        *(f"  dropped: entries {past.first} to {past.last} of {past.node}" for past in one.dropped),
    ]


def _done(plan: RecoveryPlan, nodes: Sequence[NodeName]) -> str:
    if not plan.with_action(RECOVERED):
        return "nothing is changed: no group of the survivors has lost its majority"
    if not nodes:
        return "nothing is changed: this plan was applied before"
    survivors = ", ".join(plan.survivors)
    return f"done on {', '.join(nodes)}; once it is done on each survivor, start them: {survivors}"
