"""The suite's own parts: loads, meters, tables, charts, and what it says of peers that are not there."""

import asyncio
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from msgspec import json

import fleet
from fleet.errors import Unavailable
from tests.benchmarks import __main__ as suite
from tests.benchmarks.charts import bars, lines, nice_top, write_charts
from tests.benchmarks.figures import Case, Figures, Row, Scale, measured, ratio
from tests.benchmarks.load import TIMED_EVERY, Load, awaited, blocking, pipelined
from tests.benchmarks.meters import Meter, threads_cpu_s
from tests.benchmarks.parts import PARTS, peers
from tests.benchmarks.report import digits, table
from tests.support.waiting import WAIT_S, eventually

LOAD_S = 0.3


class Answers:
    """Answers the first calls when `callers` of them are under way, and later ones after a moment."""

    def __init__(self, callers: int) -> None:
        self.callers = callers
        self.lock = threading.Lock()
        self.all_there = threading.Event()
        self.under_way = self.most = self.answered = 0

    def begin(self) -> None:
        with self.lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            if self.under_way == self.callers:
                self.all_there.set()

    def end(self) -> None:
        with self.lock:
            self.under_way -= 1
            self.answered += 1

    def call(self) -> None:
        self.begin()
        self.all_there.wait(WAIT_S)
        time.sleep(0.001)
        self.end()

    def submit(self, done: Callable[[Any], None]) -> None:
        self.begin()

        def answer() -> None:
            self.all_there.wait(WAIT_S)
            time.sleep(0.001)
            self.end()
            future: Future[None] = Future()
            future.set_result(None)
            done(future)

        threading.Thread(target=answer).start()

    async def coroutine(self) -> None:
        self.begin()
        while not self.all_there.is_set():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.001)
        self.end()


LOADS: dict[str, Callable[[Answers, int], Load]] = {
    "blocking": lambda answers, callers: blocking([answers.call], callers, LOAD_S),
    "pipelined": lambda answers, callers: pipelined([answers.submit], callers, LOAD_S),
    "asyncio": lambda answers, callers: awaited([answers.coroutine], callers, LOAD_S),
}


@pytest.mark.parametrize("way", LOADS)
@pytest.mark.parametrize("callers", [1, 20])
def test_a_load_keeps_as_many_calls_under_way_as_it_has_callers_and_counts_each(
    way: str, callers: int
) -> None:
    answers = Answers(callers)
    load = LOADS[way](answers, callers)
    assert answers.most == callers
    assert answers.under_way == 0 and load.count == answers.answered
    assert load.times_ms == sorted(load.times_ms) and load.times_ms[0] >= 1.0


def test_a_pipeline_waits_for_no_more_answers_than_are_to_come() -> None:
    """Time is up when the first of exactly `callers` calls is answered."""
    ended = threading.Event()

    def submit(done: Callable[[Any], None]) -> None:
        future: Future[None] = Future()
        future.set_result(None)
        threading.Timer(0.05, done, [future]).start()

    def run() -> None:
        assert pipelined([submit], TIMED_EVERY, 0.01).count == TIMED_EVERY
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    assert ended.wait(WAIT_S)


def test_a_call_that_fails_ends_the_load() -> None:
    """The first fails, and no other."""
    failures = [ZeroDivisionError(), ZeroDivisionError()]

    def fail() -> None:
        if len(failures) == 2:
            raise failures.pop()

    def submit(done: Callable[[Any], None]) -> None:
        future: Future[None] = Future()
        if failures:
            future.set_exception(failures.pop())
        else:
            future.set_result(None)
        done(future)

    with pytest.raises(ZeroDivisionError):
        blocking([fail], 1, 0.1)
    with pytest.raises(ZeroDivisionError):
        pipelined([submit], 2, 0.1)


def test_a_round_measures_every_case_before_the_next_begins() -> None:
    order: list[str] = []

    def case(name: str) -> Case:
        def measure() -> Figures:
            order.append(name)
            return {"per_s": float(len(order))}

        return Case(name, measure)

    first, second = measured([case("a"), case("b")], rounds=3)
    assert order == ["a", "b"] * 3
    assert (first.figures["per_s"], second.figures["per_s"]) == (3.0, 4.0)
    assert [one["per_s"] for one in first.rounds] == [1.0, 3.0, 5.0]
    assert ratio("b / a", "per_s", second, first).figures == {"x": 4 / 3}


SPIN = """
import threading, time
def spin():
    open("/proc/thread-self/comm", "w").write("spinner")
    while time.process_time() < 0.5:
        pass
thread = threading.Thread(target=spin)
thread.start()
thread.join()
print("done", flush=True)
input()
"""


def test_a_meter_reads_what_other_processes_and_their_threads_cost() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        with Meter({process.pid: "node"}) as meter:
            assert process.stdout.readline() == "done\n"
        process.stdin.close()
    figures = meter.each_us(1000)
    assert 350 < figures["node_us"] < 650
    assert meter.all_us(1000)["cpu_us"] == pytest.approx(figures["node_us"] + figures["client_us"])


def test_threads_are_told_apart_by_name() -> None:
    stop = threading.Event()

    def work() -> None:
        Path("/proc/thread-self/comm").write_text("bench-worker")
        while not stop.is_set():
            pass

    worker = threading.Thread(target=work)
    worker.start()
    try:
        eventually(lambda: threads_cpu_s(os.getpid()).get("bench-worker", 0.0) > 0.01)
    finally:
        stop.set()
        worker.join()


def test_a_table_has_a_column_for_each_figure_and_a_note_where_there_is_one() -> None:
    rows = [Row("a", {"per_s": 12345.6, "p50_ms": 0.1234}), Row("b", {"per_s": 1.5}, note="left out")]
    assert list(table("part", rows)) == [
        "| part |  per s | p50 ms | note     |",
        "| ---- | -----: | -----: | -------- |",
        "| a    | 12,346 |  0.123 |          |",
        "| b    |   1.50 |        | left out |",
    ]
    assert [digits(value) for value in (0.0, 3.0, 12.34, 100.4)] == ["0", "3", "12.3", "100"]


def test_charts_are_svg_with_a_mark_for_each_row() -> None:
    points = [Row(f"{way} {n}", {"per_s": n * 10.0}, series=way, at=n) for way in "ab" for n in (1, 8, 64)]
    drawn = ElementTree.fromstring(lines("commands", "per_s", points))
    assert len(drawn.findall("{*}circle")) == 6 and len(drawn.findall("{*}polyline")) == 2
    drawn = ElementTree.fromstring(
        bars("limits", ["p50_us"], [Row("<a & b>", {"p50_us": 2.0}), Row("c", {"p50_us": 1.0})])
    )
    _, first, second = (float(rect.attrib["width"]) for rect in drawn.findall("{*}rect"))
    assert first == pytest.approx(2 * second, abs=0.2)
    assert [nice_top(value) for value in (0.7, 1.0, 13.0, 240.0, 60_000.0)] == [
        1.0,
        1.0,
        20.0,
        250.0,
        100_000.0,
    ]


def test_costs_are_stacked_in_a_chart_of_their_own(tmp_path: Path) -> None:
    costs = {"leader_us": 3.0, "follower_us": 2.0, "client_us": 1.0}
    rows = [Row("a", {"per_s": 1.0} | costs), Row("without", {"per_s": 2.0})]
    assert [path.name for path in write_charts(tmp_path, "commands", rows)] == [
        "commands.svg",
        "commands-cost.svg",
    ]
    drawn = ElementTree.parse(tmp_path / "commands-cost.svg").getroot()
    _, *boxes = (rect.attrib for rect in drawn.findall("{*}rect"))
    edges = [(float(box["x"]), float(box["x"]) + float(box["width"])) for box in boxes]
    assert len(edges) == 3 and all(edges[n][1] == pytest.approx(edges[n + 1][0], abs=0.2) for n in range(2))


def test_the_command_prints_a_table_and_writes_json_and_charts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(PARTS, "limits", lambda scale: iter([Row("sync", {"p50_us": 1.0}, at=scale.rounds)]))
    words = [
        "limits",
        "--quick",
        "--rounds",
        "2",
        "--json",
        str(tmp_path / "f.json"),
        "--charts",
        str(tmp_path),
    ]
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    suite.main()
    assert "| sync   |      1 |" in capsys.readouterr().out
    written = json.decode((tmp_path / "f.json").read_bytes())
    assert list(written["parts"]) == ["limits"] and written["parts"]["limits"][0]["at"] == 2
    assert {"date", "cpus", "load", "commit"} <= set(written["machine"])
    assert ElementTree.parse(tmp_path / "limits.svg").getroot().tag.endswith("svg")


def test_a_part_that_fails_keeps_its_rows_and_lets_the_others_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fails(scale: Scale) -> Iterator[Row]:
        yield Row("first", {"per_s": 1.0})
        raise Unavailable("nobody answers")

    monkeypatch.setitem(PARTS, "limits", fails)
    monkeypatch.setitem(PARTS, "commands", lambda scale: iter([Row("other", {"per_s": 2.0})]))
    monkeypatch.setattr(sys, "argv", ["benchmarks", "limits", "commands", "--quick"])
    with pytest.raises(SystemExit, match="ended early: limits"):
        suite.main()
    out = capsys.readouterr().out
    assert "| first " in out and "Unavailable: nobody answers" in out and "| other " in out


def test_a_part_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "limitz"])
    with pytest.raises(SystemExit):
        suite.main()


def test_a_peer_that_is_not_there_is_a_row_that_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def said(start: Callable[[Path], AbstractContextManager[object]]) -> str:
        with start(tmp_path) as found:
            assert isinstance(found, Row) and not found.figures
            return found.note

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert said(peers.start_syncobj) == "left out: not installed; it comes with the extra `bench`"
    assert said(peers.start_etcd) == "left out: no `etcd` on the PATH"
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/etcd")
    assert said(peers.start_etcd) == "left out: aetcd is not installed; it comes with the extra `bench`"


def test_the_page_lists_every_part_and_no_other() -> None:
    page = (Path(fleet.__file__).parent / "docs" / "benchmarks.md").read_text()
    listed, _, _ = page.partition("## How to read")
    rows = re.findall(r"^\| (`[`\w, ]+`) \|", listed, re.M)
    assert re.findall(r"`(\w+)`", " ".join(rows)) == list(PARTS)
    assert all(part.__doc__ for part in PARTS.values())
