"""Three nodes that are well, for the tests of commands."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from .fleets import Fleet, fleet_of, inside


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("three")
    with fleet_of(directory, "n1", "n2", "n3") as one, inside(directory):
        yield one


@pytest.fixture
def name(three: Fleet) -> Iterator[str]:
    """A group of its own for each test."""
    name = f"acct/{uuid4().hex[:6]}"
    assert three.say("group", "add", name, "shop:Account").code == 0
    yield name
    three.say("group", "remove", name, "--yes")
