"""Ranges of versions, and the table of what each of them brought."""

import pytest

import fleet
from fleet.versions import FEATURES, FIRST_RELEASE, NEWEST, OLDEST, Build, features_of, newest_common


@pytest.mark.parametrize(
    ("mine", "theirs", "common"),
    [
        ((1, 1), (1, 1), 1),
        ((1, 2), (1, 1), 1),
        ((1, 3), (2, 4), 3),
        ((2, 2), (1, 4), 2),
        ((1, 1), (2, 3), None),
        ((4, 5), (1, 3), None),
    ],
)
def test_the_newest_version_of_both(
    mine: tuple[int, int], theirs: tuple[int, int], common: int | None
) -> None:
    assert newest_common(mine, theirs) == newest_common(theirs, mine) == common


def test_the_table_is_of_the_versions_that_this_build_speaks() -> None:
    assert list(FEATURES) == sorted(FEATURES, key=lambda one: one.version)
    assert {one.version for one in FEATURES} <= set(range(1, NEWEST + 1)) and OLDEST <= NEWEST
    assert FIRST_RELEASE.is_on(1) and not FIRST_RELEASE.is_on(0)
    assert features_of(0, 1) == (FIRST_RELEASE.what,) and features_of(1, 1) == ()


def test_a_build_says_what_it_is() -> None:
    assert str(Build(fleet.__version__, 2, 2)) == f"{fleet.__version__}, version 2"
    assert str(Build("", 1, 3)) == "unknown release, versions 1 to 3"
