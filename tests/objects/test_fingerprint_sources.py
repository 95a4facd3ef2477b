"""Fingerprints are of the code that runs, whatever stands in its file; and what they cost."""

import os
import subprocess
import sys
import time

import cloudpickle
import pytest

import fleet
from fleet.objects import by_value, fingerprint, sources
from fleet.objects.fingerprint import fingerprint_of
from tests.support.modules import Modules, modules
from tests.support.shop import NAMED, RULES, SHOP, edited, is_of_source, of

__all__ = ["modules"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 5", "LIMIT = 6"),
        ("n: int = 1", "n: int = 2"),
        ("RED = 1", "RED = 3"),
        ("return 2 * n", "return 3 * n"),
    ],
)
def test_a_file_that_was_replaced_since_lends_nothing_to_the_code_in_memory(
    modules: Modules, old: str, new: str
) -> None:
    new_text = edited(SHOP, old, new)
    is_new = of(modules, new_text)
    running = modules.load(shop=SHOP, rules=RULES)
    modules.write(shop=new_text)
    assert fingerprint_of(running.Counter) != is_new
    assert not is_of_source(running.Counter)


def test_a_file_that_was_replaced_after_it_was_read_changes_nothing(modules: Modules) -> None:
    was = of(modules, SHOP)
    running = modules.load(shop=SHOP, rules=RULES)
    fingerprint_of(running.Other)
    modules.write(shop=edited(SHOP, "LIMIT = 5", "LIMIT = 6"))
    assert fingerprint_of(running.Counter) == was


@pytest.mark.parametrize(
    ("old", "new"),
    [("n * RATE", "n / RATE"), ("RATE = 3", "RATE = 4")],
)
def test_a_named_module_that_was_replaced_since_lends_nothing(modules: Modules, old: str, new: str) -> None:
    new_rules = edited(RULES, old, new)
    is_new = of(modules, NAMED, new_rules)
    running = modules.load(shop=NAMED, rules=RULES)
    modules.write(rules=new_rules)
    assert fingerprint_of(running.Counter) != is_new
    assert not is_of_source(running.Counter)


def test_code_that_no_file_has_counts_by_its_code_objects(modules: Modules) -> None:
    made = 'import fleet\nexec("def helper(n):\\n    return n + 1")\nclass Counter(fleet.Data):\n'
    made += "    value: int = 0\n    @fleet.command\n    def add(self):\n        return helper(1)\n"
    running = modules.load(shop=made)
    first = fingerprint_of(running.Counter)
    assert not is_of_source(running.Counter)
    assert fingerprint_of(modules.load(shop=made).Counter) == first
    assert fingerprint_of(modules.load(shop=made.replace("n + 1", "n + 2")).Counter) != first


def test_a_class_of_this_module_which_pytest_has_rewritten_has_a_fingerprint() -> None:
    assert fingerprint_of(Here) == fingerprint_of(Here)
    assert not is_of_source(Here)
    assert fingerprint_of(Here) != fingerprint_of(There)


class Here(fleet.Data):
    @fleet.command
    def add(self) -> int:
        return 1


class There(fleet.Data):
    @fleet.command
    def add(self) -> int:
        return 2


def test_a_cache_that_fills_changes_nothing(modules: Modules) -> None:
    shop = modules.load(shop=SHOP, rules=RULES)
    first = fingerprint_of(shop.Counter)
    shop.Counter().add()
    fingerprint._known.clear()
    assert fingerprint_of(shop.Counter) == first


def test_a_class_has_by_value_the_fingerprint_that_it_has_where_it_arrives(modules: Modules) -> None:
    shop = modules.load(shop=SHOP, rules=RULES)
    by_name = fingerprint_of(shop.Counter)
    cloudpickle.register_pickle_by_value(shop)
    try:
        data, here = by_value.dumps(shop.Counter), fingerprint_of(shop.Counter)
    finally:
        cloudpickle.unregister_pickle_by_value(shop)
    code = "import sys; from fleet.objects import by_value, fingerprint\n"
    code += "print(fingerprint.fingerprint_of(by_value.loads(bytes.fromhex(sys.argv[1]))))"
    for is_importable in (True, False):
        if not is_importable:
            (modules.folder / "shop.py").unlink()
        done = subprocess.run(
            [sys.executable, "-c", code, data.hex()],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.strip() == here, done.stderr
    assert here != by_name


# -- cost -----------------------------------------------------------------------------------------------


def test_a_class_of_twenty_methods_takes_two_milliseconds_once_its_module_is_parsed(modules: Modules) -> None:
    method = "    @fleet.command\n    def m{0}(self, n: int = {0}) -> int:\n"
    method += "        self.value += helper(n)\n        return self.value\n"
    body = "".join(method.format(number) for number in range(20))
    shop = "import fleet\ndef helper(n): return n\nclass First(fleet.Data):\n    value: int = 0\n"
    shop += f"class Counter(fleet.Data):\n    value: int = 0\n{body}"
    module = modules.load(shop=shop)
    fingerprint_of(module.First)
    took = []
    for _ in range(10):
        fingerprint._known.clear()
        for statement in sources._sources["shop"].statements:
            statement.__dict__.pop("digest", None)
        started = time.thread_time()
        fingerprint_of(module.Counter)
        took.append(time.thread_time() - started)
    assert min(took) < 0.002


def test_a_module_that_is_too_large_to_parse_counts_by_its_code_objects(
    modules: Modules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "SOURCE_CHARS_MAX", 100)
    running = modules.load(shop=SHOP, rules=RULES)
    first = fingerprint_of(running.Counter)
    assert not is_of_source(running.Counter)
    changed = modules.load(shop=edited(SHOP, "LIMIT = 5", "LIMIT = 6"), rules=RULES)
    assert fingerprint_of(changed.Counter) != first


def test_large_tables_count_by_their_size_where_there_is_no_source() -> None:
    space: dict[str, object] = {"fleet": fleet, "__name__": "nowhere"}
    text = "WORDS = list(range({}))\nclass Counter(fleet.Data):\n    @fleet.command\n"
    text += "    def add(self):\n        return WORDS[{}]\n"
    found = set()
    for size, place in ((50_000, 1), (50_001, 1), (50_000, 2)):
        exec(text.format(size, place), space)
        cls = space["Counter"]
        assert isinstance(cls, type)
        found.add(fingerprint_of(cls))
    assert len(found) == 3
