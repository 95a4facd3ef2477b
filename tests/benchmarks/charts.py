"""Charts as SVG: lines over a logarithmic axis for rows that belong to series, bars for the others; and where
a call's processor time goes, as stacked bars."""

import math
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests.benchmarks.figures import Row
from tests.benchmarks.report import columns, digits

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 150, 40, 50
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#7d5ba6", "#8a6d3b")
BAR, LABELS = 22, 330
GREY = "#888"
COSTS = ("leader_us", "follower_us", "client_us")


def write_charts(folder: Path, name: str, rows: Sequence[Row]) -> list[Path]:
    """Draws the figure by which a part is judged, its first column; and its costs, if it has them."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = [row for row in rows if row.figures]
    if not shown:
        return []
    column = columns(shown)[0]
    points = [row for row in shown if row.series]
    path = folder / f"{name}.svg"
    if points:
        path.write_text(lines(name, column, points))
    else:
        path.write_text(bars(name, [column], [row for row in shown if column in row.figures]))
    split = [row for row in shown if all(cost in row.figures for cost in COSTS)]
    if not split:
        return [path]
    costs = folder / f"{name}-cost.svg"
    costs.write_text(bars(f"{name}, processor time of a call", COSTS, split))
    return [path, costs]


def text(x: float, y: float, words: str, anchor: str = "start", colour: str = "#222") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}" stroke="#ddd"/>'


def document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
            text(16, 22, title),
            *parts,
            "</svg>\n",
        )
    )


def nice_top(value: float) -> float:
    """The smallest of 1, 2, 2.5, 5 x a power of ten that is no less."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value or step == 10)


def lines(name: str, column: str, rows: Sequence[Row]) -> str:
    """The column over `at`, a line for each series."""
    places = sorted({row.at for row in rows})
    low, high = math.log2(places[0]), math.log2(places[-1])
    top = nice_top(max(row.figures[column] for row in rows))

    def x(at: float) -> float:
        part = (math.log2(at) - low) / (high - low) if high > low else 0.5
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = []
    for step in range(6):
        value = top * step / 5
        parts.append(rule(LEFT, y(value), WIDTH - RIGHT, y(value)))
        parts.append(text(LEFT - 8, y(value) + 4, digits(value), "end", GREY))
    parts += [text(x(at), HEIGHT - BOTTOM + 20, digits(at), "middle", GREY) for at in places]
    for number, series in enumerate(dict.fromkeys(row.series for row in rows)):
        colour = COLOURS[number % len(COLOURS)]
        points = sorted((row.at, row.figures[column]) for row in rows if row.series == series)
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(at):.1f}" cy="{y(v):.1f}" r="3" fill="{colour}"/>' for at, v in points]
        parts.append(text(WIDTH - RIGHT + 12, TOP + 16 * (number + 1), series, colour=colour))
    return document(WIDTH, HEIGHT, f"{name}: {column.replace('_', ' ')}", parts)


def bars(name: str, stacked: Sequence[str], rows: Sequence[Row]) -> str:
    """A bar for each row, of the columns one after the other."""
    totals = [sum(row.figures[column] for column in stacked) for row in rows]
    top, space = max(totals) or 1.0, WIDTH - LABELS - 100
    parts = []
    for number, (row, total) in enumerate(zip(rows, totals, strict=True)):
        y, x = TOP + number * BAR, float(LABELS)
        parts.append(text(LABELS - 8, y + 14, row.name, "end"))
        for column, colour in zip(stacked, COLOURS, strict=False):
            length = max(1.0, row.figures[column] / top * space)
            box = f'x="{x:.1f}" y="{y + 3}" width="{length:.1f}" height="{BAR - 6}"'
            parts.append(f'<rect {box} fill="{colour}"/>')
            x += length
        parts.append(text(x + 6, y + 14, digits(total), colour=GREY))
    words = [column.replace("_", " ") for column in stacked]
    below = TOP + BAR * len(rows)
    if len(stacked) > 1:
        keys = zip(words, COLOURS, strict=False)
        parts += [
            text(LABELS + 110 * n, below + 16, word, colour=colour) for n, (word, colour) in enumerate(keys)
        ]
    return document(WIDTH, below + 30, f"{name}: {' + '.join(words)}", parts)
