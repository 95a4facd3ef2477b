"""The output of `fleet demo`: a live screen, or plain lines without a terminal."""

from time import monotonic
from typing import Any, NamedTuple

import click

from fleet.cli.demo.load import percentile
from fleet.cli.demo.one_group import Outcome, Picture

WINDOW_S = 1.0
"""Rates and latencies are of the last second."""
PLAIN_EVERY_S = 1.0
EVENTS_MAX = 12


class Figures(NamedTuple):
    rate: float
    p50_ms: float
    p99_ms: float
    acked: int

    @classmethod
    def of(cls, picture: Picture) -> "Figures":
        if picture.load is None:
            return cls(0.0, 0.0, 0.0, 0)
        now = monotonic()
        acks = picture.load.acks_between(now - WINDOW_S, now)
        taken = [ack.acked_at - ack.sent_at for ack in acks]
        return cls(
            len(acks) / WINDOW_S,
            percentile(taken, 0.5) * 1000,
            percentile(taken, 0.99) * 1000,
            picture.load.acked,
        )


class NodeRow(NamedTuple):
    name: str
    address: str
    state: str
    role: str
    term: str
    applied: str


def node_rows(picture: Picture) -> list[NodeRow]:
    rows = []
    for node in picture.nodes.nodes.values():
        status = picture.statuses.get(node.name)
        applied = str(status.applied) if status is not None else "-"
        if node.process is None:
            row = NodeRow(node.name, node.address, "killed", "-", "-", applied)
        elif not node.serves or status is None:
            row = NodeRow(node.name, node.address, "alive" if node.serves else "starting", "-", "-", "-")
        else:
            row = NodeRow(node.name, node.address, "alive", status.role, str(status.term), applied)
        rows.append(row)
    return rows


class PlainView:
    """One line per event, and one per second with figures."""

    def __init__(self) -> None:
        self.drawn_at = 0.0

    def __enter__(self) -> "PlainView":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def event(self, picture: Picture, text: str) -> None:
        click.echo(f"{monotonic() - picture.began_at:6.2f} s  {text}")

    def draw(self, picture: Picture) -> None:
        now = monotonic()
        if picture.load is None or now - self.drawn_at < PLAIN_EVERY_S:
            return
        self.drawn_at = now
        figures = Figures.of(picture)
        nodes = ", ".join(
            f"{row.name} {row.role if row.role != '-' else row.state} {row.applied}"
            for row in node_rows(picture)
        )
        self.event(
            picture,
            f"  {figures.rate:.0f}/s, p50 {figures.p50_ms:.1f} ms, p99 {figures.p99_ms:.1f} ms, "
            f"{figures.acked} acknowledged; applied: {nodes}",
        )


class ScreenView:
    """The same on one screen, drawn with rich, which only this class imports."""

    def __init__(self) -> None:
        from rich.live import Live

        self.live = Live(refresh_per_second=8, transient=False)

    def __enter__(self) -> "ScreenView":
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def event(self, picture: Picture, text: str) -> None:
        self.draw(picture)

    def draw(self, picture: Picture) -> None:
        self.live.update(screen(picture))


def screen(picture: Picture) -> Any:
    """The picture as a renderable of rich."""
    from rich import box
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    nodes = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("node", "address", "state", "role"):
        nodes.add_column(heading)
    for heading in ("term", "applied"):
        nodes.add_column(heading, justify="right")
    styles = {"killed": "bold red", "starting": "yellow"}
    for row in node_rows(picture):
        nodes.add_row(*row, style=styles.get(row.state, "bold green" if row.role == "leader" else ""))

    figures = Figures.of(picture)
    line = Text.assemble(
        (f"{figures.rate:7.0f}", "bold cyan"),
        " increments/s   ",
        "p50 ",
        (f"{figures.p50_ms:6.1f} ms", "cyan"),
        "   p99 ",
        (f"{figures.p99_ms:6.1f} ms", "cyan"),
        "\n",
        "value ",
        (f"{picture.value:8d}", "bold"),
        "   acknowledged ",
        (f"{figures.acked:8d}", "bold"),
    )
    events = Text("\n".join(f"{at:6.2f} s  {text}" for at, text in picture.events[-EVENTS_MAX:]))
    return Panel(Group(nodes, line, Text(), events), title="fleet demo", expand=False, padding=(0, 1))


def summary(result: Outcome) -> list[str]:
    return [
        f"value {result.value} = {result.acked} acknowledged increments: nothing lost, nothing doubled "
        f"({result.reads} reads, none went back)",
        f"failover {result.failover_s:.2f} s from killing {result.killed} to the next acknowledged command",
        f"rate {result.rate_before:.0f} commands/s before, {result.rate_without:.0f} without "
        f"{result.killed}, {result.rate_after:.0f} after its return (caught up in {result.catch_up_s:.2f} s)",
        f"outcomes unknown at first and settled: {result.unknown}; refused, not done: {result.refused}",
    ]
