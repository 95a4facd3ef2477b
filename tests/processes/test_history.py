"""The past of a group that keeps it, on real processes: seen again after restarts and moves of the leader."""

import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest

import fleet
from fleet.client.recordings import kept_by_members
from fleet.errors import CommandFailed, NotKept, Rejected
from fleet.raft.ids import node_of
from tests.processes.fleet_nodes import NodeFleet
from tests.support.purse import Purse
from tests.support.waiting import eventually

OFTEN = {"snapshot_factor": 1.0, "snapshot_floor_bytes": 1500, "snapshot_ceiling_bytes": 1500, "log_tail": 2}
TIMES = {"heartbeat_ms": 60, "election_ms": 400}
KEEPING = fleet.GroupConfig(keep=400, **OFTEN, **TIMES)  # type: ignore[arg-type]
FEW = fleet.GroupConfig(keep=40, **OFTEN, **TIMES)  # type: ignore[arg-type]
COUNT = 200


def filled(purse: Purse, count: int = COUNT) -> dict[int, dict[str, Any]]:
    """What the object was like after each command that changed it, by revision."""
    seen = {}
    for number in range(1, count + 1):
        n = {150: -400, 170: 900}.get(number, 13 if number % 50 == 0 else 14 if number % 49 == 0 else 1)
        with suppress(Rejected, CommandFailed):
            state = purse.put(n)
            seen[state["revision"]] = state
    return seen


def see_again(client: fleet.Fleet, seen: dict[int, dict[str, Any]], step: int = 1) -> None:
    for revision in list(seen)[::step]:
        assert vars(client.at("purse", revision, Purse)) == seen[revision], revision


def bases(client: fleet.Fleet) -> list[int]:
    """How many states each member has kept."""
    return [len(one.history.bases) for one in kept_by_members(client, "purse")]


def test_every_revision_is_seen_again_after_restarts_and_a_move_of_the_leader(yard: NodeFleet) -> None:
    yard.start("n1", "n2", "n3")
    client = yard.client
    purse = client.create_group("purse", Purse, config=KEEPING)
    seen = filled(purse)
    eventually(lambda: bases(client) and min(bases(client)) > 3, 10, "snapshots of every member")
    see_again(client, seen, step=5)
    leader = client.whereis("purse")
    assert leader is not None
    yard[leader].kill()
    yard[leader].start()
    other = next(name for name in ("n1", "n2", "n3") if name != leader)
    client.transfer_leader("purse", other)
    more = filled(purse, 60)
    see_again(client, seen, step=9)
    see_again(client, more, step=9)
    eventually(lambda: len(kept_by_members(client, "purse")) == 3, 10, "all members to answer")
    whole = [kept for kept in kept_by_members(client, "purse") if kept.first == 0]
    assert len(whole) >= 2, "the one that was killed may have been sent a snapshot, and begins anew"
    with pytest.raises(NotKept, match="has come to revision"):
        client.at("purse", 10_000)


def test_the_command_that_made_it_so_is_found_and_who_sent_it(yard: NodeFleet) -> None:
    yard.start("n1")
    client = yard.client
    purse = client.create_group("purse", Purse, replicas=1, config=KEEPING)
    seen = filled(purse)
    below = [revision for revision, state in seen.items() if state["balance"] < 0]
    found = client.bisect("purse", lambda purse: purse.balance < 0)
    assert found is not None and found.call is not None and not found.was_so
    assert found.revision == below[0] < below[-1] < max(seen), "it is positive again later"
    assert str(found.call) == "put(-400)"
    assert (found.call.client, found.call.at) == (seen[below[0]]["who"], seen[below[0]]["at"])
    assert client.bisect("purse", lambda purse: purse.balance > 10_000) is None
    again = client.bisect("purse", lambda purse: purse.balance < 0, start=below[3])
    assert again is not None and (again.revision, again.was_so) == (below[3], True)
    calls = list(client.past_calls("purse", below[0] - 1, below[0] + 1))
    assert [call.revision for call in calls] == [below[0] - 1, below[0], below[0] + 1]
    assert [str(call) for call in calls] == ["put(1)", "put(-400)", "put(1)"]
    assert sum(1 for _ in client.past_calls("purse")) == COUNT
    told = debugged(yard, below[0], "p self.balance, n\nn\nn\nn\np self.balance\nc\n")
    assert "put()" in told and f"({seen[below[0]]['balance'] + 400}, -400)" in told
    assert f"\n(Pdb) {seen[below[0]]['balance']}\n" in told, told
    assert f"'luck': {seen[below[0]]['luck']}" in told, "random is the very same"


def debugged(yard: NodeFleet, revision: int, typed: str) -> str:
    connect = ("--connect", yard["n1"].address, "--secret-file", str(yard.secret_file), "--cluster", "test")
    command = [sys.executable, "-m", "fleet.cli", "group", "debug", "purse", str(revision), *connect]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_kept_is_bounded_and_goes_when_it_is_not_wanted_any_more(yard: NodeFleet) -> None:
    yard.start("n1")
    client = yard.client
    purse = client.create_group("purse", Purse, replicas=1, config=FEW)
    seen = filled(purse)

    def kept() -> Any:
        return kept_by_members(client, "purse")[0]

    history = kept().history
    assert 40 <= history.applied - history.bases[0].index < 120, history.bases
    assert len(history.bases) <= 12
    see_again(client, {revision: state for revision, state in seen.items() if kept().reaches(revision)}, 7)
    with pytest.raises(NotKept, match="is not kept any more, the oldest that is"):
        client.at("purse", 3)
    client.change_config("purse", fleet.GroupConfig(keep=0, **OFTEN, **TIMES))  # type: ignore[arg-type]
    filled(purse, 40)
    eventually(lambda: len(kept().history.bases) == 1, 10, "the history to go")
    assert node_of(kept().history.member) == "n1"
