"""Reading `fleet.toml`: what is wrong is named with its line and with what to write instead."""

import time
from pathlib import Path

import pytest

from fleet.config.file import BYTES_MAX, lines_of, load, read
from fleet.config.settings import SETTINGS
from fleet.config.starter import text
from fleet.errors import ConfigError


def problems(directory: Path, content: str) -> list[str]:
    path = directory / "fleet.toml"
    path.write_text(content)
    return [f"{one.line} {one.key}: {one.what}" for one in read(str(path)).problems]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('[node]\nlistn = "127.0.0.1:1"', "2 node.listn: there is no such setting: write listen"),
        ('listen = "127.0.0.1:1"', "1 listen: there is no such setting here: write it in section [node]"),
        ('[node]\ncluster = "c"', "2 node.cluster: there is no such setting here: write it before the first"),
        ("[node]\nspeed = 9", "2 node.speed: there is no such setting; those of [node] are name, listen,"),
        ('node = "n1"', "1 node: is a section: write [node], and its settings below"),
        ("[nodes]\n", "1 nodes: there is no such section: write node"),
        ("[observe]\n", "1 observe: there is no such section: the sections are node, data, log, client"),
        ("cluster = 5", "1 cluster: is a whole number: write a text in quotation marks"),
        ("[node]\nexecutors = 1.5", "2 node.executors: is a number: write a whole number"),
        ("[node]\nexecutors = true", "2 node.executors: is true or false: write a whole number"),
        ('[node]\nweight = "2"', "2 node.weight: is a text: write a number"),
        ("[node]\nactive = 1", "2 node.active: is a whole number: write true or false"),
        ('[node]\njoin = "127.0.0.1:5"', "2 node.join: is a text: write a list of"),
        ('[node]\njoin = ["a:1", 5]', "2 node.join: is a list with a whole number in it: write a list of"),
        ("[node]\nname = 2026-01-01", "2 node.name: is a date or a time: write a text"),
        ('[node]\nname = "a/b"', "2 node.name: a node's name is printable"),
        ('[node]\nlisten = "here"', "2 node.listen: 'here' is not host:port"),
        ('[node]\nfounders = ["127.0.0.1:1", "here"]', "2 node.founders: 'here' is not host:port"),
        ('[node]\npurge_after = "10 weeks"', "2 node.purge_after: '10 weeks' is not understood: write a dur"),
        ("[node]\npurge_after = 1", "2 node.purge_after: purge_after must be at least"),
        ("[node]\nexecutors = 65", "2 node.executors: executors must be 0 to 64, not 65"),
        ('[node]\nexecutor_memory_max = "much"', "2 node.executor_memory_max: 'much' is not understood: wri"),
        ('[log]\nformat = "xml"', '2 log.format: \'xml\' is not understood: write "text" or "json"'),
        ("[client]\ntimeout = 0", "2 client.timeout: timeout must be more than 0 seconds"),
        ('secret = "s"', "1 secret: has no place in a file, since a secret does not belong in it: name a fi"),
        ("[node]\nfound = true", "2 node.found: has no place in a file, since it is for one start only"),
        ("\n\ncluster = \n", "3 : invalid value - write settings as key = value"),
        ('cluster = "a"\ncluster = "b"', "2 : cannot overwrite a value"),
        ('cluster = "a', "1 : "),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_to_write(tmp_path: Path, content: str, says: str) -> None:
    (found,) = problems(tmp_path, content)
    assert found.startswith(says)


def test_all_mistakes_are_named_in_the_order_of_their_lines(tmp_path: Path) -> None:
    content = "[client]\ntimeout = true\n[node]\nweight = 'x'\n\nname = 7\n"
    assert [found.split()[0] for found in problems(tmp_path, content)] == ["2", "4", "6"]
    with pytest.raises(ConfigError) as caught:
        load(str(tmp_path / "fleet.toml"))
    assert str(caught.value).count("fleet.toml:") == 3


def test_the_line_of_a_key_is_where_it_begins_however_it_is_written() -> None:
    content = '''# comment
cluster = """
[node]
name = "not this one"
"""

[node]  # listen = 1
join = [
  # another
  "a:1",

  "b:1",
]
"listen" = "c:1"
client.x = 1
log = {level = "info", format = "json"}
'''
    lines = lines_of(content)
    assert lines["cluster"] == 2 and lines["node"] == 7 and lines["node.join"] == 8
    assert lines["node.listen"] == 14 and lines["node.client"] == 15 and lines["node.log"] == 16
    assert "node.name" not in lines


def test_a_long_file_is_read_in_no_time() -> None:
    """It took 48 s when each beginning of the file was parsed."""
    content = "\n".join(f'key{number} = "{"x" * 10}"' for number in range(1500))
    begun = time.monotonic()
    assert lines_of(content)["key1499"] == 1500
    assert time.monotonic() - begun < 2.0


def test_values_of_all_kinds_are_read(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text(
        'secret_file = "s"\n[node]\ndata_dir = "/d"\njoin = ["a:1", "b:2"]\nweight = 2\n'
        'executor_memory_max = "1G"\npurge_after = "1h"\nactive = false\n[client]\ntimeout = 2.5\n'
    )
    assert load(str(path)).values == {
        "secret_file": str(tmp_path / "s"),
        "data_dir": "/d",
        "join": ("a:1", "b:2"),
        "weight": 2.0,
        "executor_memory_max": 1 << 30,
        "purge_after": 3600.0,
        "active": False,
        "timeout": 2.5,
    }


def test_what_is_no_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_bytes(b'cluster = "a"\n\xff')
    assert [(one.line, one.what[:11]) for one in read(str(path)).problems] == [(2, "is not UTF-")]
    path.write_bytes(b"x = " + b"[" * 10_000 + b"]" * 10_000)
    assert "is nested too deeply" in read(str(path)).problems[0].what
    path.write_bytes(b"x = " + b"9" * 5000)
    assert read(str(path)).problems[0].what == "has a number with too many digits"
    path.write_bytes(b"[client]\ntimeout = " + b"9" * 400)
    assert "is not understood: write a duration" in read(str(path)).problems[0].what
    path.write_bytes(b"#" * (BYTES_MAX + 1))
    assert "is longer than" in read(str(path)).problems[0].what
    for where in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match="cannot be read"):
            read(str(where))


def test_every_default_and_example_can_be_written_in_a_file_and_read_back(tmp_path: Path) -> None:
    shown = {one.name: one.example if one.example is not None else one.default for one in SETTINGS}
    values = {
        name: value
        for name, value in shown.items()
        if value is not None and name not in ("found", "until_eof")
    }
    path = tmp_path / "fleet.toml"
    path.write_text(text(values))
    here = {"secret_file": str(tmp_path / "secret"), "data_dir": str(tmp_path / "data")}
    assert load(str(path)).values == values | here
