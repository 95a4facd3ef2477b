"""Data classes: how they are declared, and their plain instances."""

import inspect
import pydoc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import pytest

from fleet.errors import (
    BadArguments,
    ConfigError,
    NoSuchGroup,
)
from fleet.objects.class_refs import decode_class, encode_class
from fleet.objects.declare import RESERVED, Data, command, query
from fleet.objects.group_handle import bind
from tests.objects.direct import Counter, Direct

# -- plain instances ------------------------------------------------------------------------------


def test_a_plain_instance_runs_its_methods_there_and_then() -> None:
    counter = Counter()
    assert counter.add(5) == 5
    assert counter.get() == 5
    assert Counter.add(counter, 1) == 6


def test_mutable_defaults_are_copied_for_each_instance() -> None:
    first, second = Counter(), Counter()
    first.add(5)
    assert second.notes == {"all": []}
    assert Counter.notes == {"all": []}


def test_a_field_may_have_a_factory() -> None:
    """It said "cannot pickle 'mappingproxy' object" on every member."""

    class Local(Data):
        step: int = field(default=2)
        names: dict[str, list[int]] = field(default_factory=lambda: {"all": []})

        @command
        def put(self, n: int) -> None:
            self.names["all"].append(n * self.step)

    arrived: Any = decode_class(encode_class(Local))
    first, second = arrived(), arrived()
    first.put(3)
    assert (first.names, second.names, second.step) == ({"all": [6]}, {"all": []}, 2)
    with pytest.raises(AttributeError, match="names"):
        del first.names
    with pytest.raises(ConfigError, match="Wrong.names has no first value"):
        mistaken("names: list[int] = field()")


def test_a_dataclass_is_a_data_class_too() -> None:
    """Whose decorator takes a field with a factory out of the class."""

    @dataclass
    class Local(Data):
        step: int = 2
        names: list[str] = field(default_factory=list)

    arrived: Any = decode_class(encode_class(Local))
    assert arrived.__new__(arrived).__dict__ == {"step": 2, "names": []}
    assert arrived() == Local.__new__(arrived)


def test_what_is_shared_on_purpose_is_let_pass() -> None:
    mistaken("notes: ClassVar[list[int]] = []\nSTEPS = [1, 2]\nsizes: set[int] = set()\nstep = (1, 2)")


def test_constants_are_not_state() -> None:
    assert Counter().__dict__ == {"value": 0, "notes": {"all": []}}


def test_init_without_arguments_may_make_the_state_instead() -> None:
    class Basket(Data):
        size: int = 3
        items: list[int]

        def __init__(self) -> None:
            self.items = [self.size]

    assert Basket().__dict__ == {"size": 3, "items": [3]}


def test_a_subclass_inherits_fields_methods_and_version() -> None:
    class First(Counter, version=4):
        more: int = 1

    class Second(First):
        value: int = 10

    assert Second().add(1) == 11
    assert Second().more == 1
    assert Second.__fleet_version__ == 4


@pytest.mark.parametrize("use", [lambda c: c.submit(1), lambda c: c.aio(1), lambda c: c.options(timeout=1)])
def test_a_plain_instance_has_no_group_to_submit_to(use: Callable[[Any], Any]) -> None:
    with pytest.raises(NoSuchGroup, match="Counter.add"):
        use(Counter().add)


def test_a_field_cannot_be_deleted() -> None:
    with pytest.raises(AttributeError, match="value"):
        del Counter().value


ADD: dict[str, Any] = {
    "the class": Counter.add,
    "an instance": Counter().add,
    "a handle": bind(Counter, "g", cast(Any, None)).add,
    "a handle, with options": bind(Counter, "g", cast(Any, None)).add.options(timeout=1),
}


@pytest.mark.parametrize("where", ADD)
def test_help_and_inspect_find_the_users_method(where: str) -> None:
    add = ADD[where]
    taken = "(self, n: int = 1) -> int" if where == "the class" else "(n: int = 1) -> int"
    assert str(inspect.signature(add)) == taken
    assert inspect.getdoc(add) == "Add, and tell the sum."
    assert (add.__name__, add.__qualname__) == ("add", "Counter.add")
    assert add.__wrapped__ is Counter.add.function
    text = pydoc.plain(pydoc.render_doc(add))
    assert f"add{taken}\n    Add, and tell the sum.\n" in text
    with pytest.raises(AttributeError, match="nonsense"):
        add.nonsense


def test_help_of_a_handle_is_that_of_its_class() -> None:
    text = pydoc.plain(pydoc.render_doc(bind(Counter, "g", cast(Any, None))))
    assert "class Counter(fleet.Data)" in text and " add(self, n: int = 1) -> int" in text


def test_help_knows_the_functional_style() -> None:
    assert str(inspect.signature(bind(Register, "r", cast(Any, None)).command)).startswith("(arg: int)")


# -- definitions that cannot be -------------------------------------------------------------------


def mistaken(body: str, keywords: str = "") -> None:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    names = {"Data": Data, "command": command, "query": query, "field": field, "ClassVar": ClassVar}
    exec(f"class Wrong(Data{keywords}):\n{lines}", names | {"__name__": __name__}, {})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("add: int = 0\n@command\ndef add(self): ...", "add is both a field and a command"),
        ("@command\nasync def add(self): ...", "cannot be async"),
        ("@query\nasync def get(self): yield 1", "cannot be async"),
        ("@command\ndef add(self): yield 1", "generator"),
        ("@command\ndef add(): ...", "self first"),
        ("@command\ndef add(*, n): ...", "self first"),
        ("@command\n@staticmethod\ndef add(n): ...", "plain method"),
        ("@query\n@property\ndef size(self): ...", "plain method"),
        ("@command\n@query\ndef add(self): ...", "plain method"),
        ("@command\ndef _add(self): ...", "underscore"),
        ("__slots__ = ('a',)", "__slots__"),
        ("notes = []", "notes is shared by all objects"),
        ("name: str", "name has no first value"),
        ("def __init__(self, n): ...", "without arguments"),
        ("@staticmethod\ndef command(state, arg): ...", r"static new\(\)"),
    ]
    + [(f"@command\ndef {name}(self): ...", "reserved") for name in sorted(RESERVED)],
)
def test_a_mistake_in_a_class_is_told_where_it_is_defined(body: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mistaken(body)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (", version=0", "version"),
        (", version='2'", "version"),
        (", version=True", "version"),
        (", codec='json'", "codec"),
    ],
)
def test_a_mistake_in_a_class_keyword_is_told(keywords: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mistaken("pass", keywords)


def test_a_subclass_cannot_hide_a_command_behind_something_else() -> None:
    with pytest.raises(ConfigError, match="hides a command of Counter"):
        type("Wrong", (Counter,), {"add": 3})


# -- the functional style ---------------------------------------------------------------------------


class Register(Data):
    """The shape of upstream's data modules."""

    @staticmethod
    def new() -> tuple[int, ...]:
        return ()

    @staticmethod
    def command(state: tuple[int, ...], arg: int) -> tuple[int, tuple[int, ...]]:
        return len(state), (*state, arg)

    @staticmethod
    def query(state: tuple[int, ...], arg: str) -> int:
        return sum(state) if arg == "sum" else len(state)


def test_a_functional_class_is_commanded_and_queried_by_one_argument() -> None:
    register: Any = bind(Register, "r", Direct(Register))
    assert register.command(5) == 0
    assert register.command(7) == 1
    assert register.query("sum") == 12
    with pytest.raises(BadArguments):
        register.command()


def test_a_functional_class_travels_by_value() -> None:
    class Local(Data):
        @staticmethod
        def new() -> int:
            return 1

        @staticmethod
        def command(state: int, arg: int) -> tuple[int, int]:
            return state + arg, state + arg

    arrived: Any = decode_class(encode_class(Local))
    assert arrived().command(4) == 5


def test_a_functional_class_runs_on_a_plain_instance_too() -> None:
    register: Any = Register()
    assert register.command(5) == 0
    assert register.state == (5,)
