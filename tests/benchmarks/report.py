"""A part as a table for the terminal and for Markdown; all parts as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import json

from tests.benchmarks.figures import Row


def digits(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row.figures))


def table(title: str, rows: Sequence[Row]) -> Iterator[str]:
    """Lines. A column is as wide as its widest cell."""
    names = columns(rows)
    notes = ["note"] if any(row.note for row in rows) else []
    cells = [[title, *(name.replace("_", " ") for name in names), *notes]]
    for row in rows:
        figures = [digits(row.figures[name]) if name in row.figures else "" for name in names]
        cells.append([row.name, *figures, *([row.note] if notes else [])])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numbers = range(1, len(names) + 1)

    def line(texts: Sequence[str]) -> str:
        padded = [
            text.rjust(width) if number in numbers else text.ljust(width)
            for number, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    yield line(cells[0])
    yield line(["-" * (width - 1) + (":" if n in numbers else "-") for n, width in enumerate(widths)])
    yield from map(line, cells[1:])


def write_json(path: Path, machine: Mapping[str, str], parts: Mapping[str, Sequence[Row]]) -> None:
    """Every figure, those of the single rounds too."""
    path.write_bytes(json.format(json.encode({"machine": machine, "parts": parts})) + b"\n")
