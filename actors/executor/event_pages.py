"""What a member's object tells of the group's events."""

from fleet.actors.messages.executor import EventsRead, ReadEvents
from fleet.objects.applier import Applier
from fleet.raft.group_events import LAST, GroupEvent

PAGE_MAX = 1024
PAGE_BYTES_MAX = 1 << 20
"""Of one answer; one event may be bigger."""


def read_events(applier: Applier, m: ReadEvents) -> EventsRead:
    """Answer, and note new events from now on. All that came before was told of by then: an object tells what
    it has applied before it takes another message."""
    if applier.fresh_events is None:
        applier.fresh_events = []
    log, here = applier.events, (applier.revision, LAST)
    after = here if m.after is None else m.after
    if not log.has_all_after(after):
        return EventsRead(m.number, m.run, m.token, (), after, False, log.oldest)
    page = log.page(after, applier.revision, m.kinds, PAGE_MAX, PAGE_BYTES_MAX)
    return EventsRead(m.number, m.run, m.token, page.events, page.until, page.is_end)


def take_fresh(applier: Applier) -> tuple[GroupEvent, ...]:
    """Those that were not told of yet; () where nobody wants to know."""
    fresh = applier.fresh_events
    if not fresh:
        return ()
    applier.fresh_events = []
    return tuple(fresh)
