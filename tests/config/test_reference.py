"""The table of settings in the documentation is the table in the code; so are flags, and arguments of Node.

FLEET_REWRITE=1 writes it anew.
"""

import inspect
import os
from pathlib import Path

import click

import fleet
from fleet.cli import main
from fleet.config.settings import ALL, CLIENT, DATA, NODE, OF_A_PROCESS, SETTINGS, Setting, of_sections

PAGE = Path(__file__).parents[2] / "fleet" / "docs" / "configuration.md"
MARK = "<!-- settings -->\n"


def row(one: Setting) -> str:
    key = f"`{one.key}`" if not one.not_in_files else "not in a file"
    flag = f"`{one.flag}`" if one.has_flag else ""
    if one.off_flag:
        flag += f", `--{one.off_flag}`"
    default = one.default_text().replace('"', "`")
    where = f"[{one.section}]" if one.section else "all"
    return f"| {where} | {key} | {flag} | `{one.variable}` | {default} | {one.what} |"


def table() -> str:
    head = "| section | key | flag | variable | default | what |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(map(row, SETTINGS)) + "\n"


def test_the_documentation_has_the_settings_of_the_code() -> None:
    before, mark, shown = PAGE.read_text().partition(MARK)
    if os.environ.get("FLEET_REWRITE"):
        PAGE.write_text(before + mark + table())
        return
    assert shown == table()


def test_names_flags_and_variables_are_unique() -> None:
    for names in (
        [one.name for one in SETTINGS],
        [one.variable for one in SETTINGS],
        [one.flag for one in SETTINGS if one.has_flag],
    ):
        assert len(set(names)) == len(names)


def test_each_setting_of_a_node_is_an_argument_of_node_with_the_same_default() -> None:
    arguments = inspect.signature(fleet.Node).parameters
    for one in of_sections([NODE, DATA]):
        if one.name in OF_A_PROCESS:
            assert one.name not in arguments
        elif one.name != "name":
            default = arguments[one.name].default
            assert default == one.default or one.name == "found", one.name
    no_settings = {"clock", "secret", "secret_file", "cluster"}
    assert arguments.keys() - no_settings == {one.name for one in of_sections([NODE, DATA])} - {*OF_A_PROCESS}


def test_commands_have_the_flags_of_their_sections() -> None:
    for name, sections in (("start", (ALL, NODE, DATA, "log")), ("status", (ALL, CLIENT))):
        command = main.get_command(click.Context(main), name)
        assert command is not None
        flags = {flag for option in command.params for flag in option.opts}
        wanted = {one.flag for one in of_sections(sections) if one.has_flag}
        assert wanted <= flags
        others = {one.flag for one in SETTINGS if one.has_flag} - wanted
        assert not others & flags
