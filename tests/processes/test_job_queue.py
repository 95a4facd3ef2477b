"""Jobs pushed to workers in processes of their own, while workers and nodes are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from fleet.recipes import JobQueue
from tests.processes.nodes import CLUSTER, QUICK, ROOT, Cluster, eventually, leader_node

# It dies with the test process, however that ends.
PROGRAM = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(1, 9)
import fleet
from fleet.recipes import JobQueue, current_job

addresses, cluster, secret_file, path = sys.argv[1:]
file = open(path, "a")
with fleet.connect(addresses, cluster=cluster, secret_file=secret_file) as f:

    @fleet.worker(f.group("jobs", JobQueue), concurrency=4, lease=1.0)
    def work(number):
        time.sleep(0.02)
        file.write(f"{number} {current_job().token}\\n")
        file.flush()

    work.start()
    print("works", flush=True)
    sys.stdin.read()
    work.stop()
"""


class WorkerProcess:
    def __init__(self, three: Cluster, path: Path) -> None:
        self.path = path
        words = [
            ",".join(node.address for node in three.nodes),
            CLUSTER,
            str(three.secret_file),
            str(path),
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def await_start(self) -> "WorkerProcess":
        assert self.process.stdout is not None and self.process.stdout.readline() == "works\n"
        return self

    def written(self) -> list[tuple[int, int]]:
        """Payloads and tokens of the jobs that it has done."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [(int(number), int(token)) for number, token in map(str.split, lines)]

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def stop(self) -> None:
        self.process.communicate("")
        assert self.process.returncode == 0


def done(queue: JobQueue) -> int:
    return queue.statistics().get("done", 0)


def all_were_done_once(queue: JobQueue, workers: list[WorkerProcess], count: int) -> None:
    counts = queue.statistics()
    assert (counts["put"], counts["done"]) == (count, count)
    assert "died" not in counts and counts["waiting"] == counts["running"] == counts["delayed"] == 0
    written = [one for worker in workers for one in worker.written()]
    assert {number for number, _ in written} == set(range(count))
    assert len(set(written)) == len(written), "no job was done twice with one token"


def test_every_job_is_done_although_a_worker_is_killed(three: Cluster, tmp_path: Path) -> None:
    queue = three.connect().create_group("jobs", JobQueue, config=QUICK)
    workers = [WorkerProcess(three, tmp_path / f"w{number}") for number in range(2)]
    for worker in workers:
        worker.await_start()
    for reply in [queue.put.submit(n, attempts=9, backoff=0.02) for n in range(100)]:
        reply.result()
    eventually(lambda: len(workers[0].written()) >= 5, what="the first to work")
    workers[0].kill()
    eventually(lambda: done(queue) == 100, what="the other one to do the rest")
    workers[1].stop()
    all_were_done_once(queue, workers, 100)
    assert queue.statistics()["expired"] > 0 == queue.statistics()["workers"]


def test_every_job_is_done_although_nodes_are_killed(three: Cluster, tmp_path: Path) -> None:
    client = three.connect()
    queue = client.create_group("jobs", JobQueue, config=QUICK)
    worker = WorkerProcess(three, tmp_path / "w").await_start()
    replies = [queue.put.options(timeout=20.0).submit(n, attempts=9, backoff=0.02) for n in range(100)]
    eventually(lambda: done(queue) >= 10, what="it to work")
    leader = leader_node(three, client, "jobs")
    leader.kill()
    eventually(lambda: done(queue) >= 40, what="it to go on")
    leader.start()
    leader_node(three, client, "jobs").kill()
    assert sorted(reply.result() for reply in replies) == list(range(1, 101))
    eventually(lambda: done(queue) == 100, what="all to be done")
    worker.stop()
    all_were_done_once(queue, [worker], 100)
