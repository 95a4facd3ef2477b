"""Directed scenarios by name, for bugs that need one order of events."""

from collections.abc import Callable

from tests.sim import (
    test_scenarios_backups,
    test_scenarios_commands,
    test_scenarios_executors,
    test_scenarios_fleet,
    test_scenarios_log,
    test_scenarios_members,
    test_scenarios_reads,
    test_scenarios_reminders,
    test_scenarios_sleep,
    test_scenarios_storage,
    test_scenarios_writes,
)

SCENARIOS: dict[str, Callable[..., None]] = {
    name: test
    for module in (
        test_scenarios_backups,
        test_scenarios_commands,
        test_scenarios_executors,
        test_scenarios_fleet,
        test_scenarios_log,
        test_scenarios_members,
        test_scenarios_reads,
        test_scenarios_reminders,
        test_scenarios_sleep,
        test_scenarios_storage,
        test_scenarios_writes,
    )
    for name, test in vars(module).items()
    if name.startswith("test_")
}
