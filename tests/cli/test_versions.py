"""What operators are told of releases and versions: as a table of clusters, and of three real nodes."""

import pytest
from msgspec.structs import replace

from fleet import __version__
from fleet.cli.findings import findings, notes_on
from fleet.cli.status import node_rows
from fleet.cli.version_findings import held_back, version_words
from fleet.client.survey import Survey
from fleet.cluster.state import View
from fleet.versions import NEWEST, OLDEST, Build, spoken
from tests.cli.test_doctor import N1, N3, a_survey, a_view

from .fleets import Fleet

OLD, BOTH = Build("1.0", 1, 1), Build("1.1", 1, 2)


def a_mixed_view(*builds: Build, version: int = 1, finalizing: int = 1, disks: tuple[int, ...] = ()) -> View:
    view = a_view()
    nodes = [
        replace(node, build=build, disk_version=disk)
        for node, build, disk in zip(view.nodes, builds, disks or (1, 1, 1), strict=True)
    ]
    return replace(view, nodes=tuple(nodes), version=version, finalizing=finalizing)


@pytest.mark.parametrize(
    ("view", "words", "holders", "note"),
    [
        (a_mixed_view(OLD, OLD, OLD), "version 1", [], ""),
        (a_mixed_view(BOTH, BOTH, OLD), "version 1; 2 waits for n3", ["n3"], "n3 (1.0, version 1)"),
        (a_mixed_view(BOTH, BOTH, BOTH), "version 1; 2 waits for `fleet finalize`", [], "go back"),
        (a_mixed_view(BOTH, BOTH, BOTH, version=2, finalizing=2, disks=(2, 2, 2)), "version 2", [], ""),
        (
            a_mixed_view(BOTH, BOTH, BOTH, finalizing=2, disks=(2, 1, 2)),
            "version 1; 2 waits for n2",
            ["n2"],
            "",
        ),
    ],
)
def test_one_is_told_what_is_in_force_and_for_whom_more_waits(
    view: View, words: str, holders: list[str], note: str
) -> None:
    assert (version_words(view), held_back(view)) == (words, holders)
    notes = notes_on(a_survey(view))
    assert len(notes) == bool(note) and all(note in one for one in notes)
    assert findings(a_survey(view), {}) == []


def found(survey: Survey) -> list[tuple[str, tuple[str, ...], str]]:
    return [(one.kind, one.subjects, one.why) for one in findings(survey, {}) if one.kind == "not-finalized"]


def test_a_node_for_which_a_finalized_version_waits_in_vain_is_a_finding() -> None:
    went_back = a_mixed_view(BOTH, BOTH, OLD, finalizing=2, disks=(2, 2, 1))
    assert found(a_survey(went_back)) == [("not-finalized", ("n3",), "n3 ran 1.0, version 1.")]
    silent = a_mixed_view(BOTH, BOTH, BOTH, finalizing=2, disks=(2, 2, 1))
    assert found(a_survey(silent, dead=(N3,))) == [("not-finalized", ("n3",), "n3 is silent.")]
    assert found(a_survey(silent, dead=(N1,))) == []


def test_the_table_of_nodes_has_their_builds() -> None:
    headings, rows = node_rows(a_survey(a_mixed_view(BOTH, BOTH, OLD)))
    assert [row[headings.index("BUILD")] for row in rows] == ["1.1, versions 1 to 2"] * 2 + ["1.0, version 1"]


def test_status_and_finalize_on_nodes_of_one_release(three: Fleet) -> None:
    status = three.ask("status")
    assert (status["version"], status["finalizing"], status["held_back_by"]) == (NEWEST, NEWEST, [])
    (builds,) = {
        (one["release"], one["oldest_version"], one["newest_version"], one["disk_version"])
        for one in three.ask("node", "list")
    }
    assert builds == (__version__, OLDEST, NEWEST, NEWEST)
    first, *table = three.say("status").out.splitlines()
    assert first.endswith(f"without leader · version {NEWEST}")
    assert sum(f"{__version__}, {spoken(OLDEST, NEWEST)}" in line for line in table) == 3
    done = three.ask("finalize")
    assert (done["version"], done["was"], done["brought"]) == (NEWEST, NEWEST, [])
    refused = three.say("finalize", str(NEWEST + 1))
    assert refused.code == 1 and f"not all nodes speak version {NEWEST + 1}: n1 ({__version__}" in refused.err
    assert three.say("finalize", "0").code == 2
    assert three.say("finalize").out.startswith(f"version {NEWEST} is in force, as it was (revision ")
