"""`fleet status` and `fleet unreachable`: the cluster at a glance."""

from typing import Any

import click

from fleet.cli.connection import Console, client, count, span
from fleet.cli.examination import examine
from fleet.cli.outcome import DEGRADED
from fleet.cli.version_findings import builds, held_back, version_words
from fleet.client.survey import DRAINING, OUTSIDE, NodeSeen, Outsider, Survey
from fleet.cluster.state import CLUSTER_GROUP

HEADINGS = ("NODE", "ZONE", "STATE", "LEADS", "MEMBERS", "BUILD", "LAST SEEN", "")


@click.command()
@client
def status(console: Console) -> int | None:
    """Show the cluster in one line and its nodes in a table. Exits with 4 if it is degraded."""
    survey, found = examine(console)
    leaderless = [group for group in survey.leaderless if group != CLUSTER_GROUP]
    is_led = CLUSTER_GROUP in survey.leaders
    zones = {one.zone for one in survey.view.nodes}
    groups = len(survey.view.groups)
    in_memory = sum(group.is_in_memory for group in survey.view.groups)
    health = "degraded" if found else "healthy"
    name = console.fleet.name
    console.show(
        {
            "cluster": name,
            "health": health,
            "zones": len(zones),
            "groups": groups,
            "groups_in_memory": in_memory,
            "leaderless": leaderless,
            "cluster_led": is_led,
            "failed_members": len(survey.failed),
            "findings": [one.what for one in found],
            "purge_after_ms": survey.view.purge_after_ms,
            "version": survey.view.version,
            "finalizing": survey.view.finalizing,
            "held_back_by": held_back(survey.view),
            "nodes": [node_record(survey, one) for one in survey.nodes.values()],
            "outside": [outsider_record(one) for one in survey.outside],
        },
        f"CLUSTER {name}   {health}    {count(len(survey.nodes), 'node')} · {count(len(zones), 'zone')} · "
        f"{count(groups, 'group')} · {len(leaderless)} without leader"
        + (f" · {in_memory} in memory only" if in_memory else "")
        + (f" · {count(len(survey.failed), 'member')} not running" if survey.failed else "")
        + ("" if is_led else " · no majority: nothing can be added, moved or purged")
        + f" · {version_words(survey.view)}",
    )
    console.table(*node_rows(survey))
    if found:
        if not console.as_json:
            for one in found:
                click.echo(f"✗ {one.what}")
        console.note("`fleet doctor` says why, and what is safe to do")
    return DEGRADED if found else None


@click.command()
@client
def unreachable(console: Console) -> int | None:
    """List nodes that do not answer here or to other nodes, and since when. Exits with 4 if there are any."""
    survey = console.fleet.survey()
    console.show([node_record(survey, one) for one in survey.silent])
    if not survey.silent:
        if not console.as_json:
            click.echo("all nodes answer here and hear each other")
        return None
    rows = [
        (
            str(one.record.name),
            one.record.address,
            "yes" if one.answers else "no",
            ", ".join(f"{by} for {span(ms)}" for by, ms in sorted(one.silent_ms.items())) or "no node yet",
            _purge(survey, one),
        )
        for one in survey.silent
    ]
    console.table(("NODE", "ADDRESS", "ANSWERS HERE", "NOT HEARD BY", ""), rows)
    return DEGRADED


def node_records(survey: Survey) -> list[dict[str, Any]]:
    """The cluster's nodes, then nodes that answer but do not, or no longer, belong to it."""
    ours = [node_record(survey, one) for one in survey.nodes.values()]
    return [*ours, *map(outsider_record, survey.outside)]


def outsider_record(one: Outsider) -> dict[str, Any]:
    return {
        "name": one.info.name,
        "zone": one.info.zone,
        "address": one.info.address,
        "incarnation": one.info.incarnation,
        "state": one.state,
        "wanted_state": None,
        "answers": True,
        **builds(one.info.build),
        "leads": sum(member.leads for member in one.hosted),
        "members": len(one.hosted),
    }


def node_record(survey: Survey, one: NodeSeen) -> dict[str, Any]:
    record = one.record
    return {
        "name": record.name,
        "zone": record.zone,
        "address": record.address,
        "weight": record.weight,
        "incarnation": record.incarnation,
        "state": one.state,
        "wanted_state": record.state,
        "answers": one.answers,
        **builds(record.build),
        "disk_version": record.disk_version,
        "leads": one.leads if one.answers else None,
        "members": len(one.hosted) if one.answers else None,
        "silent_ms": dict(one.silent_ms),
        "unheard_ms": one.unheard_ms,
        "purge_in_ms": survey.purge_in_ms(one),
    }


def node_rows(survey: Survey) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = []
    for one in survey.nodes.values():
        leads, members = (str(one.leads), str(len(one.hosted))) if one.answers else ("-", "-")
        record = one.record
        about = (record.name, record.zone, one.state, leads, members, str(record.build))
        rows.append((*about, _last_seen(one), _remark(survey, one)))
    for other in survey.outside:
        told = outsider_record(other)
        counts = (str(told["leads"]), str(told["members"]))
        remark = "left, was purged, or is about to join" if other.state == OUTSIDE else "still answers"
        about = (other.info.name, other.info.zone, other.state, *counts, str(other.info.build))
        rows.append((*about, "now", remark))
    return HEADINGS, rows


def _last_seen(one: NodeSeen) -> str:
    if one.answers:
        return "now"
    return "just now" if one.unheard_ms is None else f"{span(one.unheard_ms)} ago"


def _remark(survey: Survey, one: NodeSeen) -> str:
    if one.answers and one.silent_ms:
        return f"not heard by {', '.join(sorted(one.silent_ms))}"
    if one.state == DRAINING:
        return f"{count(len(one.hosted), 'member')} left"
    return _purge(survey, one)


def _purge(survey: Survey, one: NodeSeen) -> str:
    left = survey.purge_in_ms(one)
    return "" if left is None or one.answers else f"purge in {span(left)} if a majority agrees"
