"""The README does what it says."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from fleet.cli import main
from tests.support.ports import free_ports
from tests.support.waiting import eventually

from .processes import PATIENCE_S, ROOT, environment, read_until, script

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def test_the_first_example_runs_as_written_and_remembers(tmp_path: Path) -> None:
    (example,) = blocks("python")
    script = tmp_path / "first.py"
    script.write_text(example)
    said = [
        subprocess.run(
            [sys.executable, str(script)],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=60,
        )
        for _ in range(2)
    ]
    assert [(one.stdout, one.stderr) for one in said] == [("visits: 1\n", ""), ("visits: 2\n", "")]
    assert len(example.splitlines()) <= 14


def section(title: str) -> str:
    (text,) = re.findall(rf"^## {title}\n(.*?)^## ", README, flags=re.DOTALL | re.MULTILINE)
    return str(text)


def shell_blocks(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def test_three_nodes_at_a_shell_are_as_written(tmp_path: Path) -> None:
    """In a shell of a user whose PATH has no fleet; only the ports are others."""
    prepare, nodes, *_ = shell_blocks(section("Three nodes"))
    walk = shell_blocks(section("At a shell"))[0]
    ports = {str(port): str(free) for port, free in zip((7400, 7402, 7403), free_ports(3))}
    path, _, files = prepare.partition("\n")
    environ = environment(tmp_path, FLEET_CONNECT=f"127.0.0.1:{ports['7400']}", PYTHONPATH=str(ROOT))
    script(tmp_path / ".venv")

    def shell(*lines: str) -> list[str]:
        text = re.sub(r"\b740[0-9]\b", lambda port: ports[port[0]], "\n".join((path, *lines)))
        return ["sh", "-e", "-c", text]

    def say(line: str) -> subprocess.CompletedProcess[str]:
        settings: dict[str, Any] = {"cwd": tmp_path, "env": environ, "capture_output": True, "text": True}
        return subprocess.run(shell(line), timeout=60, **settings)

    assert say(files).returncode == 0
    with ExitStack() as stack:
        started = []
        for line in nodes.strip().splitlines():
            node = subprocess.Popen(
                shell(f"exec {line}"), cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True
            )
            stack.enter_context(node)
            stack.callback(node.kill)
            started.append(node)
        for node in started:
            read_until(node, "serves at 127.0.0.1:")
        eventually(lambda: "healthy    3 nodes · 3 zones" in say("fleet status").stdout, PATIENCE_S)
        said = {}
        for line in walk.strip().splitlines():
            one = say(line)
            assert (one.returncode, one.stderr) == (0, ""), (line, one)
            said[line.partition("#")[0].strip()] = one.stdout
    assert said["fleet call visits add 5"] == said["fleet query visits get"] == "5\n"
    assert "shop.Counter" in said["fleet group list"] and "n3" in said["fleet node list"]


def test_ci_runs_what_the_readme_says() -> None:
    (set_up,) = [block.strip() for block in blocks("sh") if "pytest" in block]
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    ran = [line for line in lines if re.match(r"python3 |\.venv/", line)]
    assert " && ".join(ran).replace(" --quiet", "").replace(' "$@"', "") == set_up
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_two_commands_set_everything_up() -> None:
    assert len([block for block in blocks("sh") if "pip install" in block]) == 2
    assert README.count("pip install") == 2


def test_every_command_and_option_it_shows_exists() -> None:
    runner = CliRunner()
    lines = [line.partition("#")[0] for block in blocks("sh") for line in block.splitlines()]
    shown = [line.split()[1:] for line in lines if line.startswith("fleet ")]
    assert len(shown) > 15
    for words in shown:
        command: click.Command = main
        path = []
        while isinstance(command, click.Group) and words:
            inner = command.get_command(click.Context(command), words[0])
            if inner is None:
                break
            path.append(words.pop(0))
            command = inner
        assert path and not isinstance(command, click.Group), path
        says = runner.invoke(main, [*path, "--help"]).output
        for option in re.findall(r"--[\w-]+", " ".join(words)):
            assert option in says, f"{path} {option}"


def test_every_folder_it_names_is_there() -> None:
    for path in re.findall(r"`((?:fleet|actors|storage|sim|tests)/[\w/]*)`", README):
        assert (ROOT / path).is_dir(), path
    for module in re.findall(r"python -m (tests\.\w+)", README):
        assert (ROOT / module.replace(".", "/") / "__main__.py").is_file(), module
