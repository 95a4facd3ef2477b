"""Reading `fleet.toml`: strict, with the line of each mistake."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from fleet.config.kinds import PATH
from fleet.config.settings import SECTIONS, SETTINGS, Setting
from fleet.errors import ConfigError

BYTES_MAX = 32 * 1024
_BY_PLACE = {one.place: one for one in SETTINGS}


class Problem(Struct, frozen=True):
    """What is wrong in a file, and what to write instead. `line`: from 1 on; 0: of the whole file."""

    file: str
    line: int
    key: str
    what: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.what}" if self.key else f"{where}: {self.what}"


class ConfigFile(Struct):
    """`values` are by the settings' names, `lines` by their places in the file."""

    path: str
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []

    def complain(self, place: str, what: str) -> None:
        self.problems.append(Problem(self.path, self.lines.get(place, 0), place, what))


def load(path: str) -> ConfigFile:
    """Raises ConfigError, which names each problem of the file."""
    file = read(path)
    if file.problems:
        raise ConfigError("\n".join(map(str, file.problems)))
    return file


def read(path: str) -> ConfigFile:
    """The settings in the file, and what is wrong with it.

    Raises:
        ConfigError: it cannot be read.
    """
    file = ConfigFile(path)
    try:
        with open(path, "rb") as opened:
            data = opened.read(BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: the configuration cannot be read: {error.strerror}") from None
    if len(data) > BYTES_MAX:
        file.complain("", f"is longer than {BYTES_MAX} bytes: is it a configuration of fleet?")
        return file
    try:
        text = data.decode().replace("\r\n", "\n")
        tree = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        file.problems.append(Problem(path, line, "", "is not UTF-8: save it in that encoding"))
        return file
    except tomllib.TOMLDecodeError as error:
        file.problems.append(_syntax(path, text, str(error)))
        return file
    except ValueError:  # of thousands of digits Python makes no number
        file.complain("", "has a number with too many digits")
        return file
    except RecursionError:
        file.complain("", "is nested too deeply: settings are texts, numbers and lists of texts")
        return file
    file.lines = lines_of(text)
    for section, values in _sections(file, tree):
        for key, value in values.items():
            _take(file, section, key, value)
    file.problems.sort(key=lambda problem: problem.line)
    return file


def _syntax(path: str, text: str, error: str) -> Problem:
    what, _, where = error.removesuffix(")").partition(" (at ")
    found = re.search(r"line (\d+)", where)
    line = int(found[1]) if found else text.count("\n") + 1
    hint = "write settings as key = value, texts in quotation marks, sections as [node]"
    return Problem(path, line, "", f"{what[:1].lower()}{what[1:]} - {hint}")


def lines_of(text: str) -> dict[str, int]:
    """By place, such as "node.listen", the line where it begins; `text` is valid TOML.

    A statement is the shortest run of lines that is valid TOML by itself: so nothing but `tomllib` has to
    know how values are written.
    """
    found: dict[str, int] = {}
    section: tuple[str, ...] = ()
    statement: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        statement.append(line)
        try:
            tree = tomllib.loads("\n".join(statement))
        except tomllib.TOMLDecodeError:
            continue  # inside of a value of several lines
        is_header = statement[0].lstrip().startswith("[")
        for path in _paths(tree):
            found.setdefault(".".join(path if is_header else (*section, *path)), number - len(statement) + 1)
            section = path if is_header else section
        statement = []
    return found


def _paths(tree: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Of each key, the outer ones first."""
    for key, value in tree.items():
        yield (key,)
        if isinstance(value, dict):
            yield from ((key, *path) for path in _paths(value))


def _sections(file: ConfigFile, tree: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "", {key: value for key, value in tree.items() if not isinstance(value, dict)}
    for key, value in tree.items():
        if isinstance(value, dict):
            if key in SECTIONS:
                yield key, value
            else:
                near = _near(key, SECTIONS) or f"the sections are {_listed(filter(None, SECTIONS))}"
                file.complain(key, f"there is no such section: {near}")


def _take(file: ConfigFile, section: str, key: str, value: Any) -> None:
    place = f"{section}.{key}" if section else key
    setting = _BY_PLACE.get(place)
    if setting is None:
        file.complain(place, _unknown(section, key))
    elif setting.not_in_files:
        file.complain(place, f"has no place in a file, since {setting.not_in_files}")
    else:
        try:
            file.values[setting.name] = _converted(setting, value, Path(file.path).parent)
        except msgspec.ValidationError:
            file.complain(place, f"is {_kind_of(value)}: write {setting.kind.words}")
        except ConfigError as error:
            file.complain(place, error.what)
        except ValueError:
            file.complain(place, f"{_shown(value)} is not understood: write {setting.kind.words}")


def _converted(setting: Setting, value: Any, directory: Path) -> Any:
    typed = msgspec.convert(value, setting.kind.toml, strict=True)
    found = setting.kind.from_toml(typed)
    setting.check(found)
    if setting.kind is PATH:
        return str(directory / Path(found).expanduser())
    return found


def _unknown(section: str, key: str) -> str:
    others = [one.section for one in SETTINGS if one.key == key]
    if others:
        where = f"in section [{others[0]}]" if others[0] else "before the first section"
        return f"there is no such setting here: write it {where}"
    near = _near(key, [one.key for one in SETTINGS if one.section == section])
    if near:
        return f"there is no such setting: {near}"
    if key in SECTIONS:
        return f"is a section: write [{key}], and its settings below"
    keys = _listed(one.key for one in SETTINGS if one.section == section and not one.not_in_files)
    where = f"of [{section}]" if section else "outside of sections"
    return f"there is no such setting; those {where} are {keys}"


def _near(word: str, words: Any) -> str:
    found = get_close_matches(word, [one for one in words if one], 1, 0.7)
    return f"write {found[0]}" if found else ""


def _listed(words: Any) -> str:
    return ", ".join(words)


def _kind_of(value: Any) -> str:
    names = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", list: "a list"}
    name = names.get(type(value), "a table" if isinstance(value, dict) else "a date or a time")
    inner = {_kind_of(one) for one in value if not isinstance(one, str)} if isinstance(value, list) else ()
    return f"{name} with {min(inner)} in it" if inner else name


def _shown(value: Any) -> str:
    return repr(value)[:80]
