"""A lock that is held and renewed while the node of its group's leader is killed."""

import threading
import time

from fleet.recipes import Locks
from tests.processes.nodes import QUICK, Cluster, leader_node


def test_s53_a_held_lock_survives_the_death_of_the_leaders_node(three: Cluster) -> None:
    holder, waiter = three.connect(), three.connect()
    locks = holder.create_group("locks", Locks, config=QUICK)
    waiting = waiter.group("locks", Locks)
    tokens: list[int] = []

    def wait() -> None:
        with waiting.hold("report", ttl=20, wait=60) as lease:
            tokens.append(lease.token)

    thread = threading.Thread(target=wait)
    with locks.hold("report", ttl=5, wait=10) as lease:
        thread.start()
        began = time.monotonic()
        leader_node(three, holder, "locks").kill()
        while time.monotonic() < began + 6.5:  # longer than the lease lasts without renewal
            lease.check()
            time.sleep(0.05)
        assert not tokens and locks.live("report") == {lease.token: None}
    thread.join(20)
    assert len(tokens) == 1 and tokens[0] > lease.token
