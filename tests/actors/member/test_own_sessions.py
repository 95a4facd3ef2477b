"""A process with a role sends commands in its own session only."""

from typing import Any

from fleet.actors.member.own_sessions import OwnSessions
from fleet.actors.messages.client import ClientReply, ClientRequest
from fleet.objects.payload import encode_call
from fleet.raft.ids import SessionId
from fleet.raft.sessions import DONE, EXPIRED
from tests.actors.member.test_member_disk import Alone
from tests.support.objects import applier_of

OTHER: Any = "other"


class Shared(Alone):
    """The group of a client `c1`, and of another one that has a role."""

    number = 100

    def send(self, client: str, session: int, first: int, value: int, **others: Any) -> list[ClientReply]:
        """The replies to one command, and to what it led to."""
        self.number += 1
        call = encode_call("append", (value,), {})
        acked = others.pop("acked", 0)
        m = ClientRequest(
            *("g", client, OTHER, SessionId(session), acked, False, first, (call,), 0, (), self.number),
            has_role=True,
        )
        self.replies = []
        self.tell(m)
        self.sync()
        return self.replies

    def forget(self) -> None:
        """As a leader that was not there when the sessions were opened."""
        self.member.clients.sessions = OwnSessions()

    def session_of(self, client: str) -> SessionId:
        return applier_of(self.member).sessions.clients[client]

    def statuses(self) -> list[str]:
        return [one.status for reply in self.replies for one in reply.results]

    def refused(self) -> list[str]:
        return [one.error.kind for reply in self.replies for one in reply.refusals]


def test_the_session_of_another_client_is_out_of_reach() -> None:
    """All later commands of that one counted as given up, and were never executed."""
    shared = Shared()
    shared.append(1)
    shared.sync()
    for acked in (0, 1 << 62):
        for _ in range(2):
            shared.send("thief", shared.session, 2, 666, acked=acked)
            assert DONE not in shared.statuses()
    assert shared.send("thief", shared.session, 2, 666) and shared.statuses() == [EXPIRED]
    shared.append(2)
    shared.sync()
    assert shared.values == [0, 0, 1]
    assert applier_of(shared.member).sessions.sessions[shared.session].last_seq == 3


def test_a_client_keeps_its_session_at_a_leader_that_does_not_know_it() -> None:
    shared = Shared()
    assert shared.send("c1", shared.session, 1, 7) and shared.statuses() == [DONE]
    shared.forget()
    shared.send("c1", shared.session, 2, 8)
    assert shared.refused() == ["Unavailable"] and shared.statuses() == []
    assert shared.session_of("c1") == shared.session, "opened again, it is the same one"
    shared.send("c1", shared.session, 2, 8)
    assert shared.statuses() == [DONE] and shared.values == [7, 8]


def test_a_leader_that_knows_an_earlier_session_asks_again() -> None:
    shared = Shared()
    shared.member.clients.sessions.note("c1", SessionId(shared.session - 1), 10)
    shared.send("c1", shared.session, 1, 7)
    shared.send("c1", shared.session, 1, 7)
    assert shared.statuses() == [DONE] and shared.values == [7]


def test_a_session_that_has_expired_is_told_as_such() -> None:
    shared = Shared()
    former = shared.session
    applier_of(shared.member).sessions.close("c1")
    shared.forget()
    shared.send("c1", former, 1, 7)
    shared.send("c1", former, 1, 7)
    assert shared.statuses() == [EXPIRED]
    assert shared.send("c1", shared.session_of("c1"), 1, 7) and shared.statuses() == [DONE]
    assert shared.values == [7]


def test_a_session_of_an_earlier_group_of_the_name_is_told_as_expired() -> None:
    sessions = OwnSessions()
    sessions.note("c1", SessionId(5 << 32 | 9), 10)
    assert sessions.is_of("c1", SessionId(6 << 32 | 3)) is False
    assert sessions.is_of("c1", SessionId(5 << 32 | 3)) is False
    assert sessions.is_of("c1", SessionId(5 << 32 | 10)) is None


def test_few_sessions_are_kept() -> None:
    sessions = OwnSessions()
    for number in range(10):
        sessions.note(f"c{number % 4}", SessionId(number), 3)
    assert sessions.known == {"c3": 7, "c0": 8, "c1": 9}
