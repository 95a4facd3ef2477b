"""What changes the fingerprint of a class, and what does not."""

import os
import subprocess
import sys

import pytest

from fleet.errors import ConfigError
from fleet.objects.fingerprint import fingerprint_of
from tests.support.modules import Modules, modules
from tests.support.shop import NAMED, RULES, SHOP, edited, of

__all__ = ["modules"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A shop."""', '"""Another\n\nshop."""\n\n# with a comment'),
        ('"""Add the limit."""', '"""Add."""'),
        ('    """Counts."""\n', ""),
        ("# a comment", "# another"),
        (
            "\n        return self.value\n\n    @fleet.command",
            "\n\n        return self.value\n    @fleet.command",
        ),
        ("def unrelated(n):\n    return n", "def unrelated(n):\n    return n + 1"),
        ("def unrelated(n):\n    return n\n", ""),
        ("import tax, unused", "import tax, rate, unused"),
        ("    from fractions import Fraction\n", ""),
        ("OTHER_LIMIT = 7", "OTHER_LIMIT = 8"),
        ("import enum\nimport logging", "import logging\nimport enum"),
        ('print("elected")', 'print("is elected")'),
        (", hooks=Hooks", ""),
        ("(n):\n    return 2 * n", "(n):\n    pass\n    return (2*n)"),
        ('PRICES["a"]', "PRICES['a']"),
        ("value: int = OTHER_LIMIT", "value: int = helper(1)"),
    ],
)
def test_an_edit_that_changes_nothing_leaves_the_fingerprint(modules: Modules, old: str, new: str) -> None:
    assert of(modules, edited(SHOP, old, new)) == of(modules, SHOP)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 5", "LIMIT = 6"),
        ("rounded(n) + LIMIT", "rounded(n) - LIMIT"),
        ("round(n)", "round(n, 1)"),
        ("        return n\n\ndef handler", "        return n + 1\n\ndef handler"),
        ('{"a": 1}', '{"a": 2}'),
        ('PRICES["b"] = 2', 'PRICES["b"] = 3'),
        ("return 2 * n", "return 3 * n"),
        ('"double")\ndef', '"twice")\ndef'),
        ('log.debug("called")', "args = ()"),
        ("    @traced\n", ""),
        ("RED = 1", "RED = 3"),
        ("x: int = 0", "x: int = 1"),
        ("lambda: [1]", "lambda: [2]"),
        ("@dataclass\n", "@dataclass(order=True)\n"),
        ('tag="size"', 'tag="Size"'),
        ("width: int", "width: float"),
        ("        return 1\n\nclass Hooks", "        return 2\n\nclass Hooks"),
        ("version=1", "version=2"),
        ("value: int = 0\n\n    @fleet", "value: int = 1\n\n    @fleet"),
        ("n: int = 1", "n: int = 2"),
        ("n: int = 1", "n: float = 1"),
        ("n: int = 1", "n: int"),
        ("*, colour", "colour"),
        ("(lambda: 3)()", "(lambda: 4)()"),
        ("            return total", "            return -total"),
        ("self, size: Size | None = None", "self"),
        ("from rules import tax", "from other_rules import tax"),
        ("class Counter(Base,", "class Counter(Base, strict=True,"),
        ("        assert self.value >= 0\n", ""),
        ("def traced(function):", "def traced(function, /):"),
        ("total = 5\n        self.value += closure()", "total = 5\n        self.value -= closure()"),
        ("return call\n", "renamed = call\n    return renamed\n"),
    ],
)
def test_an_edit_that_may_change_a_result_changes_the_fingerprint(
    modules: Modules, old: str, new: str
) -> None:
    modules.write(other_rules=RULES)
    assert of(modules, edited(SHOP, old, new)) != of(modules, SHOP)


def test_functions_may_be_moved_within_the_file(modules: Modules) -> None:
    parts = SHOP.split("\n\n")
    first, second = (parts.index(one) for one in parts if one.startswith(("def helper", "def traced")))
    parts[first], parts[second] = parts[second], parts[first]
    assert of(modules, "\n\n".join(parts)) == of(modules, SHOP)


def test_methods_may_be_moved_within_the_class(modules: Modules) -> None:
    marks = ("    @fleet.command\n    def add", "    @fleet.command\n    @traced", "    @fleet.query")
    start, middle, end = map(SHOP.index, marks)
    moved = SHOP[:start] + SHOP[middle:end] + SHOP[start:middle] + SHOP[end:]
    assert of(modules, moved) == of(modules, SHOP)


def test_fields_may_not_be_moved_within_the_class(modules: Modules) -> None:
    fields = "x: int = 0\n", "    y: int = 0\n    "
    one, other = (
        edited(SHOP, "x: int = 0\n    ", text)
        for text in ("".join(fields), "y: int = 0\n    x: int = 0\n    ")
    )
    assert of(modules, one) != of(modules, other)


# -- other modules --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("n * RATE", "n / RATE", True),
        ("RATE = 3", "RATE = 4", True),
        ("rate():\n    return RATE", "rate():\n    return RATE + 1", True),
        ("return 1", "return 2", False),
    ],
)
def test_what_the_module_names_in_the_modules_of_fingerprint_modules_counts(
    modules: Modules, old: str, new: str, changed: bool
) -> None:
    other = edited(RULES, old, new)
    assert (of(modules, NAMED, RULES) != of(modules, NAMED, other)) is changed
    assert of(modules, SHOP, RULES) == of(modules, SHOP, other)


def test_a_base_class_of_a_named_module_counts(modules: Modules) -> None:
    base = "import fleet\nclass Base(fleet.Data):\n    @fleet.command\n    def add(self):\n        return 1\n"
    shop = 'import fleet\nfrom rules import Base\nclass Counter(Base):\n    fingerprint_modules = ["rules"]\n'
    assert of(modules, shop, base) != of(modules, shop, edited(base, "return 1", "return 2"))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ('["ruels"]', "Counter.fingerprint_modules names 'ruels', which cannot be imported: ModuleNotFound"),
        ('["broken"]', "names 'broken', which cannot be imported: ZeroDivisionError: .*; correct the name"),
        ('"rules"', "must be a list of modules' names, not 'rules'"),
        ("[1]", "must be a list of modules' names"),
    ],
)
def test_wrong_modules_are_an_error_that_says_what_to_do(modules: Modules, value: str, says: str) -> None:
    modules.write(broken="1 / 0")
    cls = modules.load(shop=NAMED.replace('["rules"]', value), rules=RULES).Counter
    with pytest.raises(ConfigError, match=says):
        fingerprint_of(cls)


@pytest.mark.parametrize("setting", ["strict=True", "version=2", "keep_keys=60"])
def test_what_a_base_class_elsewhere_says_of_the_class_counts(modules: Modules, setting: str) -> None:
    base = "import fleet\nclass Base(fleet.Data):\n    def add(self): ...\n"
    shop = "from rules import Base\nclass Counter(Base):\n    pass\n"
    assert of(modules, shop, base) != of(modules, shop, edited(base, "Data", f"Data, {setting}"))


def test_signatures_of_a_base_class_elsewhere_count(modules: Modules) -> None:
    base = "import fleet\nclass Base(fleet.Data):\n    @fleet.command\n    def add(self, n): ...\n"
    shop = "from rules import Base\nclass Counter(Base):\n    pass\n"
    first = of(modules, shop, base)
    assert of(modules, shop, edited(base, "n): ...", "n): n + 1")) == first
    for other in ("m", "n=1", "*n", "*, n"):
        assert of(modules, shop, edited(base, "n)", f"{other})")) != first


def elsewhere(*options: str) -> str:
    """Of the module that was written last, in a process of its own."""
    code = "from fleet.objects import fingerprint; from shop import Counter\n"
    code += "print(fingerprint.fingerprint_of(Counter), Counter in fingerprint._known)"
    command = [sys.executable, *options, "-c", code]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    found, is_of_source = done.stdout.split()
    assert is_of_source == "True", done.stderr
    return found


def test_code_without_its_assertions_is_other_code(modules: Modules) -> None:
    modules.load(shop=SHOP, rules=RULES)
    plain, without, neither = elsewhere(), elsewhere("-O"), elsewhere("-OO")
    assert plain != without == neither


def test_a_module_that_comes_from_its_bytecode_is_compared_with_its_source(modules: Modules) -> None:
    first = of(modules, SHOP)
    assert elsewhere() == elsewhere() == first
    assert list(modules.folder.glob("__pycache__/shop.*"))
