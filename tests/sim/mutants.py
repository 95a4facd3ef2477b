"""Bugs that others had, and our own, planted on purpose: each is found within its budget of seeds.

`python -m tests.sim.mutants [WORDS ...]` plants those whose name holds one of the words, or all, and prints
the table of fleet/docs/mutants.md: what was found, by what, at which seed, in how long.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from msgspec import Struct

from fleet.sim.search.explore import OK, run_seed
from tests.sim.episodes import run_episode
from tests.sim.finders import finder
from tests.sim.one_by_one import run_one_by_one
from tests.sim.planted import (
    clusters,
    codes,
    comparisons,
    disks,
    edges,
    elections,
    executors,
    fleets,
    logs,
    members,
    memory,
    pasts,
    placements,
    reads,
    recoveries,
    reminders,
    sleepers,
    states,
    users,
    watches,
)
from tests.sim.planted.patches import Patches
from tests.sim.recovered import run_recovered
from tests.sim.scenarios import SCENARIOS
from tests.sim.spoiled import run_spoiled
from tests.sim.storms import run_storm

HUNTS = {"one by one": run_one_by_one, "recovered": run_recovered, "spoiled": run_spoiled}


class Mutant(Struct, frozen=True):
    """`hunt`: "episode" (seeds as `explore` runs them), "day ..." (an episode with those faults), "storm ..."
    (one group, one kind of weather), one of `HUNTS`, or "test_..." (a directed scenario: there is one).
    """

    plant: Callable[[], Patches]
    hunt: str
    budget: int = 1
    """Seeds 1 to this are tried."""
    is_long: bool = False
    seed: int = 0
    """The one that found it last: it is tried first. Any change of the code moves the seeds."""

    @property
    def name(self) -> str:
        return self.plant.__name__.replace("_", " ")

    @property
    def about(self) -> str:
        return " ".join((self.plant.__doc__ or "").split())


MUTANTS = [
    Mutant(elections.vote_not_persisted, "episode", 5),
    Mutant(elections.majority_off_by_one, "episode", 5),
    Mutant(elections.any_vote_reply_counts, "storm elections", 40, seed=2),
    Mutant(elections.second_vote_in_a_term, "episode", 5),
    Mutant(elections.vote_for_a_shorter_log, "episode", 20, seed=3),
    Mutant(elections.longest_log_wins, "storm isolated", 40, seed=2),
    Mutant(elections.learners_votes_count, "storm members", 40, seed=24),
    Mutant(elections.timer_is_not_reset, "one by one", 80),
    Mutant(elections.no_pre_vote, "one by one", 80),
    Mutant(elections.leader_of_an_old_term_is_followed, "storm messages", 200, seed=81),
    Mutant(elections.votes_of_earlier_terms_count, "storm late votes", 120, seed=60),
    Mutant(elections.quorum_is_not_checked, "one by one", 80, seed=5),
    Mutant(logs.older_term_by_counting, "storm isolated", 20, seed=2),
    Mutant(logs.suffix_is_kept, "storm isolated", 60, seed=11),
    Mutant(logs.suffix_is_acknowledged, "storm isolated", 40),
    Mutant(logs.missing_entry_matches, "episode", 10, seed=6),
    Mutant(logs.matching_entries_are_truncated, "storm messages", 20, seed=5),
    Mutant(logs.commit_unclamped, "storm isolated", 40),
    Mutant(logs.ack_before_fsync, "episode", 5),
    Mutant(logs.held_mail_is_no_queue, "episode", 5),
    Mutant(logs.own_write_not_waited_for, "episode", 5),
    Mutant(logs.learners_are_counted, "episode", 20, seed=4),
    Mutant(logs.rotten_tail_is_cut_off, "day rot", 20),
    Mutant(reads.read_without_round, "episode", 40, seed=15),
    Mutant(reads.read_before_own_commit, "storm fresh leaders", 40, seed=4),
    Mutant(reads.lease_of_a_fresh_leader, "storm fresh leaders", 60, seed=19),
    Mutant(reads.lease_from_arrival, "storm late answers", 40),
    Mutant(reads.lease_without_loyalty, "storm leases", 100, seed=27),
    Mutant(reads.lease_forgotten_by_restart, "storm late answers", 60, seed=15),
    Mutant(reads.transfer_keeps_lease, "storm late answers", 20, seed=10),
    Mutant(reads.learner_takes_over, "day leaving", 20),
    Mutant(reads.stale_round_counts, "storm late answers", 40),
    Mutant(reads.stale_read_without_a_proof, "episode", 20, seed=4),
    Mutant(
        reads.heartbeat_is_a_proof,
        "test_s21_a_member_that_is_cut_off_with_its_old_leader_refuses_reads_with_an_age_limit",
    ),
    Mutant(
        reads.leader_proves_alone,
        "test_s21_a_member_that_is_cut_off_with_its_old_leader_refuses_reads_with_an_age_limit",
    ),
    Mutant(reads.reads_go_back, "episode", 20, seed=4),
    Mutant(members.change_before_own_commit, "storm members", 120, seed=57),
    Mutant(members.two_changes_at_once, "storm members", 20, seed=2),
    Mutant(members.change_is_not_rolled_back, "storm members", 40, seed=4),
    Mutant(members.change_in_force_when_committed, "episode", 20),
    Mutant(members.voter_at_once, "one by one", 80),
    Mutant(members.minority_purges, "episode", 20),
    Mutant(members.demoted_voter_never_stands, "storm two", 20),
    Mutant(members.empty_disk_keeps_its_name, "day new disks", 30, seed=15),
    Mutant(states.dedup_dropped, "episode", 5),
    Mutant(states.results_in_one_queue, "storm elections", 10),
    Mutant(states.sessions_not_in_snapshots, "episode", 10),
    Mutant(states.keys_not_in_snapshots, "episode", 30, seed=23),
    Mutant(
        states.sessions_of_a_backup_are_kept,
        "test_two_clients_of_a_restored_group_never_share_a_session",
    ),
    Mutant(states.state_is_given_in_memory_alone, "test_a_restored_group_has_the_state_of_the_copy"),
    Mutant(states.keys_of_one_client, "episode", 20, seed=3),
    Mutant(states.sessions_expire_by_own_clock, "episode", 10),
    Mutant(states.loss_is_a_refusal, "storm refusals", 40, seed=7),
    Mutant(states.refused_command_leaves_traces, "storm elections", 10, seed=2),
    Mutant(states.stale_snapshot_accepted, "storm snapshots", 60, seed=21),
    Mutant(states.snapshot_installed_unchecked, "storm snapshots", 120, seed=64),
    Mutant(memory.lost_member_votes_again, "episode", 20, seed=2),
    Mutant(memory.lost_founder_is_founded_again, "episode", 20, seed=2),
    Mutant(memory.lost_member_is_not_replaced, "episode", 30, seed=27),
    Mutant(pasts.first_entry_of_the_past_goes, "episode", 20),
    Mutant(states.snapshot_index_is_off, "episode", 20),
    Mutant(states.snapshot_in_two_writes, "storm snapshots", 60),
    Mutant(fleets.retry_nobody_waits_for, "day power", 60, is_long=True, seed=13),
    Mutant(fleets.founder_founds_again, "day leaving", 20),
    Mutant(fleets.wall_clock_went_back, "day new disks", 30, seed=3),
    Mutant(fleets.rotten_snapshot_while_sending, "storm rotten snapshots", 40, seed=4),
    Mutant(fleets.former_lifes_link, "one by one", 80, seed=10),
    Mutant(fleets.command_given_up, "one by one", 80, seed=39),
    Mutant(fleets.registries_of_former_lives, "one by one", 80, seed=10),
    Mutant(fleets.founded_while_it_stops, "test_a_founding_member_is_not_founded_again_while_it_stops"),
    Mutant(
        fleets.what_was_not_deleted_runs_again,
        "test_a_member_that_left_stays_away_although_its_disk_did_not_delete_it",
    ),
    Mutant(fleets.former_life_still_writes, "day failures", 20),
    Mutant(fleets.silence_while_it_stood_still, "one by one", 80, seed=14),
    Mutant(edges.fork_never_fails, "day edges", 20),
    Mutant(edges.two_dumps, "storm children", 40, seed=3),
    Mutant(edges.frozen_view, "day views", 40, seed=2),
    Mutant(edges.grace_counts_as_an_answer, "storm members", 40, seed=2),
    Mutant(edges.refusals_are_counted, "storm refusals", 40, seed=7),
    Mutant(edges.refused_copy_is_carried_out, "storm refusals", 40, seed=5),
    Mutant(edges.answers_wait_for_writes, "one by one", 80, seed=5),
    Mutant(edges.damaged_member_stays_down, "day rot", 20),
    Mutant(edges.older_copy_is_trusted, "one by one", 80, seed=5),
    Mutant(
        edges.committed_conflict_is_overwritten,
        "test_s84_what_a_majority_lost_by_older_copies_is_kept_by_the_member_that_has_it",
    ),
    Mutant(edges.clock_of_the_leader_alone, "one by one", 80, seed=2),
    Mutant(edges.node_without_its_registry, "day edges", 20),
    Mutant(edges.death_without_a_word, "day edges", 20, seed=5),
    Mutant(sleepers.stale_read_of_a_sleeping_leader, "storm sleep", 40, seed=5),
    Mutant(
        sleepers.awake_followers_promise, "test_s60_followers_that_were_woken_promise_their_leader_nothing"
    ),
    Mutant(sleepers.promise_lasts, "storm sleep", 40),
    Mutant(sleepers.sleeper_is_told_nothing, "one by one", 80, seed=11),
    Mutant(sleepers.sleeper_votes_for_anyone, "one by one", 80, seed=9),
    Mutant(sleepers.sleeping_leader_ignores_candidates, "one by one", 80, seed=3),
    Mutant(sleepers.sleepers_are_not_watched, "one by one", 80),
    Mutant(sleepers.sleepers_are_not_counted, "one by one", 80, seed=3),
    Mutant(sleepers.silence_while_sleepers_stood_still, "one by one", 80),
    Mutant(placements.voter_leaves_before_its_replacement, "day operators", 20, seed=5),
    Mutant(placements.extra_voters_stay, "day operators", 20),
    Mutant(placements.dead_members_stay, "day new disks", 20),
    Mutant(placements.learner_is_never_promoted, "episode", 20, seed=2),
    Mutant(placements.pins_are_not_seen, "day operators", 20),
    Mutant(placements.zones_are_not_seen, "episode", 20, seed=5),
    Mutant(placements.preference_is_not_followed, "day operators", 20),
    Mutant(placements.leaving_nodes_are_wanted, "day lost nodes", 20, seed=20),
    Mutant(placements.leader_stays_on_a_leaving_node, "day lost nodes", 60, seed=42),
    Mutant(placements.leaves_with_its_members, "day lost nodes", 20),
    Mutant(placements.silence_is_never_taken_back, "day lost nodes", 20, seed=22),
    Mutant(clusters.view_keeps_removed_groups, "day removals", 20),
    Mutant(clusters.view_keeps_gone_nodes, "day lost nodes", 20),
    Mutant(clusters.settings_are_not_shown, "day settings", 20),
    Mutant(clusters.founders_differ, "day settings", 40, seed=23),
    Mutant(clusters.cleaned_before_it_is_gone, "day removals", 20),
    Mutant(clusters.removed_members_stay, "day removals", 20),
    Mutant(clusters.removed_group_is_kept_by_its_nodes, "day removals", 20),
    Mutant(clusters.existing_group_is_added, "day removals", 20),
    Mutant(clusters.missing_group_is_removed, "day removals", 20),
    Mutant(clusters.replicas_are_forgotten, "day operators", 20),
    Mutant(clusters.name_is_free_at_once, "day removals", 20, seed=2),
    Mutant(disks.left_is_noted_after_the_drop, "one by one", 80, seed=19),
    Mutant(disks.member_before_its_record, "one by one", 80, seed=36),
    Mutant(disks.failed_snapshot_is_not_tried_again, "storm failing snapshots", 40),
    Mutant(disks.stale_completion_counts, "storm slow disks", 40, seed=9),
    Mutant(disks.settings_not_in_snapshots, "day settings", 20, seed=10),
    Mutant(disks.settings_forgotten_by_restart, "episode", 20),
    Mutant(users.every_command_is_unknown, "episode", 5),
    Mutant(users.queries_are_never_answered, "episode", 5),
    Mutant(users.expired_session_begins_anew, "one by one", 80, seed=36),
    Mutant(users.expired_session_is_begun_again, "day executors", 120, seed=18),
    Mutant(users.hooks_never_end, "episode", 20),
    Mutant(users.hooks_miss_a_command, "episode", 20, seed=2),
    Mutant(users.lost_append_is_not_repeated, "episode", 20),
    Mutant(executors.batch_twice_after_a_loss, "storm executors", 20),
    Mutant(executors.half_a_batch_is_acknowledged, "episode", 5),
    Mutant(executors.results_of_batches_swapped, "episode", 20),
    Mutant(executors.skip_by_a_majority, "storm halts", 40, seed=4),
    Mutant(codes.other_code_is_executed, "day classes", 5),
    Mutant(comparisons.one_is_a_majority, "spoiled", 20, seed=15),
    Mutant(comparisons.newest_digest_is_told, "spoiled", 20),
    Mutant(comparisons.halted_leader_stays, "spoiled", 20),
    Mutant(comparisons.own_snapshot_voids_a_halt, "spoiled", 20),
    Mutant(codes.switch_holds_nothing_back, "day classes", 40, seed=9),
    Mutant(
        codes.unused_objects_are_kept,
        "test_s50_a_group_that_changes_its_class_before_its_first_command_begins_alike_everywhere",
    ),
    Mutant(reminders.reminders_not_in_snapshots, "test_s52_reminders_outlive_the_log_that_set_them"),
    Mutant(reminders.cancel_of_an_overdue_reminder_is_too_late, "episode", 60, seed=40),
    Mutant(reminders.reminder_that_repeats_is_never_taken_back, "episode", 20),
    Mutant(reminders.reminder_stays_after_its_call, "episode", 5),
    Mutant(reminders.new_leader_leaves_effects_out, "episode", 60),
    Mutant(reminders.failed_effect_is_left_out, "episode", 5),
    Mutant(watches.events_are_taken_again, "episode", 20),
    Mutant(watches.stream_goes_on_from_now, "episode", 20, seed=8),
    Mutant(watches.watch_joins_behind_its_place, "episode", 60, seed=38),
    Mutant(watches.events_not_in_snapshots, "day watches", 20, seed=5),
    Mutant(watches.forgotten_events_are_nobodys_loss, "episode", 60, seed=38),
    Mutant(
        watches.watchers_of_an_object_that_was_lost,
        "test_who_watches_is_told_what_an_object_executes_while_it_is_made_anew",
    ),
    Mutant(
        watches.others_who_watch_an_object_made_anew,
        "test_who_begins_to_watch_while_an_object_is_made_anew_costs_other_watchers_nothing",
    ),
    Mutant(recoveries.shortest_log_goes_on, "recovered", 40),
    Mutant(recoveries.given_up_disk_is_let_in, "recovered", 20),
    Mutant(recoveries.recovery_in_two_transactions, "recovered", 20),
    Mutant(recoveries.members_before_their_cluster, "test_a_node_that_knows_no_cluster_hosts_no_group"),
    Mutant(executors.halted_command_is_tried_at_once, "storm halts", 80, seed=55),
    Mutant(executors.reopened_without_its_snapshot, "storm executors", 20),
    Mutant(executors.hooks_hear_twice, "day executors", 20),
    Mutant(executors.queries_overtake_entries, "storm executors", 20),
    Mutant(executors.dump_behind_later_entries, "storm executors", 20),
    Mutant(
        executors.skip_leaves_who_executed,
        "test_a_member_that_executed_what_an_operator_skips_takes_it_back",
    ),
    Mutant(
        executors.who_has_executed_what_is_skipped_ends,
        "test_a_member_whose_snapshot_has_what_its_group_skips_votes_on_and_gets_another_state",
    ),
    Mutant(executors.moved_without_a_word, "day executors", 20),
    Mutant(executors.repeated_halts_agree, "storm halts", 40, seed=6),
    Mutant(executors.lost_while_it_opens, "day executors", 60, seed=35),
    Mutant(
        executors.gone_object_hangs_on,
        "test_a_command_that_hangs_in_a_group_that_is_removed_leaves_its_executor_to_others",
    ),
]


class Find(Struct, frozen=True):
    seed: int
    by: str
    """The sentence that says what is broken, without numbers of that run."""
    seconds: float


def named(name: str) -> Mutant:
    (found,) = (mutant for mutant in MUTANTS if mutant.name == name)
    return found


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    with ExitStack() as stack:
        for one in mutant.plant():
            stack.enter_context(one)
        yield


def hunt(mutant: Mutant) -> Find | None:
    """The first seed of the budget that finds it."""
    began = time.process_time()
    for seed in dict.fromkeys((mutant.seed or 1, *range(1, mutant.budget + 1))):
        with planted(mutant):
            found = run_one(mutant.hunt, seed)
        if found and "undecided" not in found:  # which proves nothing
            return Find(seed, found, time.process_time() - began)
    return None


def run_one(how: str, seed: int) -> str:
    """What is wrong, "" for nothing."""
    kind, _, which = how.partition(" ")
    if kind == "episode":
        verdict = run_seed(seed).verdict
        return "" if verdict == OK else verdict
    try:
        if kind == "storm":
            run_storm(which, seed)
        elif kind == "day":
            run_episode(which, seed)
        elif how in HUNTS:
            HUNTS[how](seed)
        else:
            _run_test(how)
    except Exception as error:  # of any kind: it is the find
        return f"{type(error).__name__}: {error}"
    return ""


def _run_test(name: str) -> None:
    name, _, parameter = name.partition("[")
    test = SCENARIOS[name]
    value = parameter.rstrip("]")
    if parameter:
        test(int(value) if value.isdigit() else {"True": True, "False": False}.get(value, value))
    else:
        test()


def table(found: dict[str, Find | None]) -> Iterator[str]:
    yield "| bug | what | hunted with | budget | found at | by |"
    yield "|---|---|---|---|---|---|"
    for mutant in MUTANTS:
        if mutant.name not in found:
            continue
        find = found[mutant.name]
        at, by = ("not found", "") if find is None else (f"{find.seed}", finder(find.by))
        how = f"`{mutant.hunt}`" + (" (long)" if mutant.is_long else "")
        at = "" if mutant.hunt.startswith("test_") and find is not None else at
        yield f"| {mutant.name} | {mutant.about} | {how} | {mutant.budget} | {at} | {by} |"


def main(words: list[str]) -> int:
    found: dict[str, Find | None] = {}
    for mutant in MUTANTS:
        if not words or any(word in mutant.name for word in words):
            find = found[mutant.name] = hunt(mutant)
            told = f"seed {find.seed}, {find.seconds:.1f} s: {find.by[:150]!r}" if find else "NOT FOUND"
            print(f"{mutant.name}: {told}", file=sys.stderr, flush=True)
    print("\n".join(table(found)))
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
