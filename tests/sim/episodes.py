"""Whole episodes with one kind of bad day: what `fleet.sim.search.episode` draws, with given weights."""

from fleet.sim.faults.schedule import KINDS
from fleet.sim.search.episode import Episode

TURNS_MAX = 100_000
"""No seed that ends well comes near."""

DAYS: dict[str, dict[str, int]] = {
    "leaving": {"drain": 3, "rolling": 3, "kill": 2, "calm": 3, "transfer": 1},
    "new disks": {"wipe": 3, "jump_wall": 3, "kill": 2, "calm": 2},
    "rot": {"flip": 4, "kill": 2, "power": 1, "calm": 3, "split": 2},
    "power": {"power": 4, "split": 1, "calm": 4, "break_links": 1, "kill_all": 1},
    "groups": {"add_group": 4, "remove_group": 4, "kill": 2, "full": 1, "calm": 3},
    "edges": {"fail": 4, "busy": 3, "fork": 2, "transfer": 1, "kill": 1, "calm": 2},
    "failures": {"fail": 6, "hang": 3, "slow_disk": 3, "err": 3, "kill": 1, "calm": 3},
    "views": {"fail": 5, "add_group": 4, "remove_group": 4},
    "operators": {"pin": 3, "replicas": 3, "prefer": 3, "drain": 1, "add_group": 2, "remove_group": 1,
                  "configure": 1, "kill": 1, "calm": 2},
    "lost nodes": {"purge": 2, "purge_window": 3, "kill": 4, "power": 1, "split": 1, "drain": 3, "calm": 2},
    "settings": {"configure": 5, "add_group": 3, "kill": 3, "power": 1, "partial": 1, "calm": 2},
    "user code": {"slow_code": 4, "bad_code": 3, "partial": 2, "straggle": 2, "kill": 2, "transfer": 2,
                  "calm": 2},
    "executors": {"kill_executor": 5, "fatal_code": 3, "slow_code": 3, "hanging_code": 1, "transfer": 3,
                  "partial": 1, "calm": 2},
    "classes": {"deploy": 6, "upgrade": 4, "kill_executor": 2, "kill": 2, "partial": 1, "transfer": 2,
                "calm": 3},
    "slow disks": {"slow_disk": 4, "hang": 2, "straggle": 3, "partial": 2, "transfer": 3, "power": 2,
                   "calm": 2},
    "moves": {"pin": 5, "replicas": 3, "kill": 3, "power": 4, "slow_disk": 3, "calm": 2},
    "removals": {"add_group": 5, "remove_group": 4, "kill": 2, "power": 2, "err": 1, "calm": 2},
    "memory": {"kill": 4, "power": 2, "rolling": 1, "transfer": 2, "pin": 1, "replicas": 1, "partial": 2,
               "split": 1, "calm": 4},
    "watches": {"kill_executor": 4, "kill": 2, "power": 1, "transfer": 2, "break_links": 1, "calm": 3},
    "full disks": {"full": 4, "drain": 2, "wipe": 1, "transfer": 2, "calm": 3, "kill": 1},
}  # fmt: skip


def run_episode(day: str, seed: int) -> None:
    """Raises what is wrong."""
    episode = Episode(seed)
    episode.injector.weights = [DAYS[day].get(fault, 0) for fault in KINDS]
    episode.injector.pace = min(episode.injector.pace, 400_000)
    if day == "memory":
        episode.in_memory, episode.injector.field.spares_memory = set(episode.kinds), True
    if day == "watches" and episode.watches is None:
        episode.watch(min(episode.kinds), episode.rng)
    episode.world.turns_max = TURNS_MAX
    episode.run()
