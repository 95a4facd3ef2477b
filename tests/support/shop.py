"""A module with a data class that reaches a bit of everything, and the module that it imports."""

from fleet.objects import fingerprint
from fleet.objects.fingerprint import fingerprint_of
from tests.support.modules import Modules

SHOP = '''
"""A shop."""
from __future__ import annotations
import enum
import logging
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
import msgspec
import fleet
import rules
from rules import tax, unused

if TYPE_CHECKING:
    from decimal import Decimal
    from fractions import Fraction

log = logging.getLogger(__name__)
LIMIT = 5
PRICES = {"a": 1}
PRICES["b"] = 2
HANDLERS = {}
OTHER_LIMIT = 7

if LIMIT > 4:
    def rounded(n):
        return round(n)
else:
    def rounded(n):
        return n

def handler(name):
    def add(function):
        HANDLERS[name] = function
        return function
    return add

@handler("double")
def double(n):
    return 2 * n

def traced(function):
    @functools.wraps(function)
    def call(*args):
        log.debug("called")
        return function(*args)
    return call

def helper(n):
    """Add the limit."""
    return rounded(n) + LIMIT

def unrelated(n):
    return n

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

@dataclass
class Point:
    x: int = 0
    more: list[int] = field(default_factory=lambda: [1])

class Size(msgspec.Struct, tag="size"):
    width: int = 1

class Base(fleet.Data):
    def inner(self):
        return 1

class Hooks(fleet.LeaderHooks["Counter"]):
    def on_elected(self, *args):
        print("elected")

class Counter(Base, version=1, hooks=Hooks):
    """Counts."""
    value: int = 0

    @fleet.command
    def add(self, n: int = 1, *, colour: Colour = Colour.RED) -> int:
        total = tax(helper(n)) + PRICES["a"] + rules.rate() # a comment
        self.value += total + HANDLERS["double"](n)
        assert self.value >= 0
        return self.value

    @fleet.command
    @traced
    def move(self, to: "Point") -> Decimal:
        self.value = to.x + self.inner() + (lambda: 3)()
        def closure():
            return total
        total = 5
        self.value += closure()

    @fleet.query
    def get(self, size: Size | None = None) -> int:
        import logging  # a name that the module has, too
        return self.value

class Other(fleet.Data):
    value: int = OTHER_LIMIT
'''
RULES = """
RATE = 3
def tax(n):
    return n * RATE
def rate():
    return RATE
def unused():
    return 1
"""
NAMED = SHOP.replace("    value: int = 0\n", '    fingerprint_modules = ["rules"]\n    value: int = 0\n', 1)


def of(modules: Modules, shop: str, rules: str = RULES) -> str:
    cls = modules.load(shop=shop, rules=rules).Counter
    found = fingerprint_of(cls)
    assert is_of_source(cls)
    return found


def is_of_source(cls: type) -> bool:
    """Whether its fingerprint was taken from the source."""
    return cls in fingerprint._known


def edited(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)
