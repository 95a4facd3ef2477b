"""Lines of a log as JSON: what a record names is in fields of its own."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from fleet.logs import JsonLines


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    one = logging.Logger("some.logger")
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonLines("n1"))
    one.addHandler(handler)
    yield one


def line(log: logging.Logger) -> dict[str, Any]:
    stream: Any = log.handlers[0]
    lines = stream.stream.getvalue().splitlines()
    found = json.loads(lines[-1])
    assert isinstance(found, dict)
    return found


def test_a_line_says_when_where_and_what(log: logging.Logger) -> None:
    log.warning("it is %d %% full", 99)
    found = line(log)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "warning", "logger": "some.logger", "node": "n1", "message": "it is 99 % full",
    }  # fmt: skip


def test_what_is_named_is_a_field_whatever_characters_it_has(log: logging.Logger) -> None:
    log.info("%s %% group=%s term=%d member=%s\nnode=%s", 1, 'a "b"=c', 7, "n1@a.1", "n2")
    found = line(log)
    assert {name: found[name] for name in ("group", "term", "member", "node")} == {
        "group": 'a "b"=c', "term": 7, "member": "n1@a.1", "node": "n2",
    }  # fmt: skip


def test_what_the_text_only_looks_like_is_none(log: logging.Logger) -> None:
    log.info("subgroup=%s group=%% term=5 %s", "a", "group=b")
    log.info("group=%s and nothing for it")
    log.info("group=%(group)s", {"group": "c"})
    assert "group" not in line(log) and "term" not in line(log)


def test_a_traceback_is_a_field(log: logging.Logger) -> None:
    try:
        1 / 0
    except ZeroDivisionError:
        log.error("failed", exc_info=sys.exc_info())
    found = line(log)
    assert found["message"] == "failed" and found["traceback"].endswith("ZeroDivisionError: division by zero")


def test_fields_of_a_record_from_an_executor_are_kept(log: logging.Logger) -> None:
    log.info("%s", "group=x cannot go on", extra={"fields": {"group": "a b"}})
    assert line(log)["group"] == "a b"
