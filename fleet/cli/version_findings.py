"""What `fleet doctor` and `fleet status` say of the version of the fleet, and of what nodes run."""

from collections.abc import Iterable
from typing import Any

from fleet.cli.finding import Finding, listed
from fleet.client.survey import Survey
from fleet.cluster.fleet_version import behind, newest_of_all, newest_of_any, unwritten
from fleet.cluster.state import View
from fleet.versions import Build


def builds(build: Build) -> dict[str, Any]:
    return {"release": build.release, "oldest_version": build.oldest, "newest_version": build.newest}


def held_back(view: View) -> list[str]:
    """Nodes for which the newest version that any node speaks has to wait."""
    newest = newest_of_any(view.nodes)
    if view.finalizing > view.version:
        return [str(name) for name in unwritten(view.nodes, view.finalizing)]
    return sorted(map(str, behind(view.nodes, newest))) if newest > view.version else []


def version_words(view: View) -> str:
    now, possible, newest = view.version, newest_of_all(view.nodes), newest_of_any(view.nodes)
    if view.finalizing > now:
        return f"version {now}; {view.finalizing} waits for {listed(held_back(view))}"
    if possible > now:
        return f"version {now}; {possible} waits for `fleet finalize`"
    if newest > now:
        return f"version {now}; {newest} waits for {listed(held_back(view))}"
    return f"version {now}"


def version_findings(survey: Survey) -> Iterable[Finding]:
    """Nodes for which a version waits that was finalized: not those that are just writing it."""
    view = survey.view
    if view.finalizing <= view.version:
        return
    older = behind(view.nodes, view.finalizing)
    silent = {node.record.name for node in survey.nodes.values() if not node.answers}
    waiting = [name for name in unwritten(view.nodes, view.finalizing) if name in older or name in silent]
    if waiting:
        what = f"version {view.finalizing} of the fleet is not in force yet: it waits for {listed(waiting)}."
        told = [f"{name} ran {older[name]}" if name in older else f"{name} is silent" for name in waiting]
        why = f"{'; '.join(told)}."
        speaks = f"with a release that speaks version {view.finalizing}"
        then = f"start {listed(waiting)} {speaks}; `fleet node purge NAME` if its disk is lost."
        yield Finding("not-finalized", tuple(map(str, waiting)), what, why, then)


def version_notes(view: View) -> list[str]:
    now, possible, newest = view.version, newest_of_all(view.nodes), newest_of_any(view.nodes)
    if not now or view.finalizing > now or newest <= now:
        return []
    if possible > now:
        return [f"every node speaks version {possible}, and {now} is in force: nodes can go back to their "
                f"former release until `fleet finalize`."]  # fmt: skip
    older = ", ".join(f"{name} ({build})" for name, build in sorted(behind(view.nodes, newest).items()))
    return [f"nodes run different releases: version {newest} waits for {older}."]
