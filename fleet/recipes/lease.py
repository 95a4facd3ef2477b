"""A lease as its holder sees it: how it is got, how it is renewed, and how long it may be relied on."""

import time
from math import inf
from uuid import uuid4

from fleet.errors import FleetError, LeaseLost, Rejected, WaitTimeout
from fleet.recipes.holders import Holders
from fleet.recipes.plans import Ask, Clock, Pause, Plan

RENEWALS = 3
"""In each time to live."""
RETRY_S = 0.1
PAUSE_MIN_S, PAUSE_MAX_S = 0.01, 0.25
"""Between looks whether a name is free."""


def new_owner() -> str:
    return uuid4().hex


class Lease:
    """What a holder has. `token` is the fencing token: hand it to whatever the lease protects, and let that
    refuse a token smaller than one it has seen. Nothing else keeps a holder that was paused from acting late.

    By its own clock a holder only gives up: it relies on a lease for no longer than `ttl` after it sent the
    request that was granted last. Whether others may have the name is for the group to say, by its time.
    """

    def __init__(self, name: str, ttl: float, clock: Clock = time.monotonic) -> None:
        self.name = name
        self.ttl = ttl
        self.token = 0
        self.clock = clock
        self.renew_at = self.over_at = -inf
        """By `clock`."""
        self.refusal = ""

    def granted(self, asked_at: float) -> None:
        """By a request sent at `asked_at`."""
        self.renew_at, self.over_at = asked_at + self.ttl / RENEWALS, asked_at + self.ttl

    @property
    def is_held(self) -> bool:
        return not self.refusal and self.clock() < self.over_at

    def check(self) -> None:
        """Raises LeaseLost: the group refused to renew it, or has not answered for the whole time to live."""
        if not self.is_held:
            why = self.refusal or f"it could not be renewed for {self.ttl} s"
            raise LeaseLost(f"the lease of {self.name!r} is lost: {why}", name=self.name, token=self.token)

    def __repr__(self) -> str:
        return f"<lease of {self.name!r}, token {self.token}, {'held' if self.is_held else 'lost'}>"


def acquire(holders: Holders, grant: Ask, lease: Lease, limit: float, wait: float) -> Plan[Lease]:
    """`grant`: the command that takes the name, with its arguments after name, owner and ttl."""
    owner = new_owner()
    until = lease.clock() + wait
    while True:
        asked_at = lease.clock()
        token, over_in = yield grant._replace(args=(lease.name, owner, lease.ttl, *grant.args))
        if token:
            lease.token = token
            lease.granted(asked_at)
            if not lease.is_held and lease.clock() < until:
                continue  # the answer took longer than the lease lasts
            lease.check()
            return lease
        over_at = lease.clock() + over_in
        pause_s, is_full = PAUSE_MIN_S, True
        while is_full and (now := lease.clock()) < over_at:
            if now >= until:
                raise WaitTimeout(f"others held {lease.name!r} for {wait} s", name=lease.name)
            yield Pause(min(pause_s, over_at - now, until - now))
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
            is_full = (yield Ask(holders.count, (lease.name,))) >= limit


def keep(holders: Holders, lease: Lease) -> Plan[None]:
    """Renew it until it is lost."""
    while lease.is_held:
        now = lease.clock()
        if now < lease.renew_at:
            yield Pause(lease.renew_at - now)
            continue
        try:
            yield Ask(holders.renew, (lease.name, lease.token, lease.ttl), lease.over_at - now)
        except Rejected as refused:
            lease.refusal = str(refused.value)
        except FleetError:  # the group may answer later, and if not, the lease is over by then
            yield Pause(min(RETRY_S, lease.ttl / 10))
        else:
            lease.granted(now)


def give_back(holders: Holders, lease: Lease) -> Plan[None]:
    """Raises LeaseLost."""
    lease.check()
    try:
        yield Ask(holders.release, (lease.name, lease.token))
    except Rejected as refused:
        lease.refusal = str(refused.value)
        lease.check()
    lease.refusal = "it was given back"
