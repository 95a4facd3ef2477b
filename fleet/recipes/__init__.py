"""Data classes in the box, each on one screen: read one, use it, or copy it into a class of your own.

`KV` with times to live and compare-and-set; `Locks` and `Semaphores` with fencing tokens; `Leases`, who is
there; `Elections`, who leads; `Barriers`, where several meet; `RateLimits`; `Counters`. One group of such a
class holds any number of them, by name. `JobQueue` is one queue a group, whose jobs are pushed to workers.

`holders` is what locks, semaphores, leases and elections are made of: names that are held for a time.
`lease` and `hold` are the holder's side of it, `plans` how that side is run by threads and asyncio tasks.

Time is `ctx.now`, which only commands have. What is over is dropped as commands run, a few entries at each.
"""

from fleet.recipes.barriers import Barriers
from fleet.recipes.counters import Counters
from fleet.recipes.elections import Elections
from fleet.recipes.hold import Hold
from fleet.recipes.job_queue import JobQueue
from fleet.recipes.kv import KV
from fleet.recipes.lease import Lease
from fleet.recipes.leases import Leases
from fleet.recipes.locks import Locks
from fleet.recipes.rate_limits import RateLimits
from fleet.recipes.running_jobs import RunningJob, current_job
from fleet.recipes.semaphores import Semaphores
from fleet.recipes.workers import QueueWorker, worker

__all__ = [
    "Barriers",
    "Counters",
    "Elections",
    "Hold",
    "JobQueue",
    "KV",
    "Lease",
    "Leases",
    "Locks",
    "QueueWorker",
    "RateLimits",
    "RunningJob",
    "Semaphores",
    "current_job",
    "worker",
]
