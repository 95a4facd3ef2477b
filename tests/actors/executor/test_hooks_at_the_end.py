"""Leader hooks in an executor, as their node stops in good order."""

from contextlib import ExitStack
from pathlib import Path

import fleet
from tests.support.nodes_here import NodesHere
from tests.support.waiting import eventually


class Diary(fleet.LeaderHooks["Page"]):
    def on_elected(self, state: "Page", term: int) -> None:
        self.path = Path(state.path)
        self.note("elected")

    def on_committed(self, event: fleet.Committed) -> None:
        self.path = Path(event.args[0])
        self.note("committed")

    def on_stepped_down(self, term: int) -> None:
        self.note("stepped down")

    def note(self, what: str) -> None:
        if str(self.path) != ".":
            with self.path.open("a") as file:
                file.write(what + "\n")


class Page(fleet.Data, hooks=Diary):
    path: str = ""

    @fleet.command
    def keep(self, path: str) -> None:
        self.path = path


def test_hooks_are_told_that_a_leader_stops(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    with ExitStack() as stack:
        nodes = NodesHere(tmp_path, stack)
        node = nodes.start("n1")
        page = nodes.connect("n1").create_group("page", Page, replicas=1)
        page.keep(str(diary))
        eventually(diary.exists)
        node.stop()
    assert diary.read_text().splitlines() == ["committed", "stepped down"]
