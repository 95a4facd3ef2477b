"""What a member sends its peers in one turn, as the mail that leaves."""

from typing import Any

from fleet.actors.base.settings import LinkSettings
from fleet.actors.messages.peer import PeerMail
from fleet.raft.codec import decode_messages
from fleet.raft.config import CARRIED_BYTES_MAX
from fleet.raft.entries import Commands, Entry
from fleet.raft.ids import MemberId
from fleet.raft.messages import AppendEntries
from tests.actors.member.test_member_disk import Held

ME, PEER = MemberId("n1@a.1"), MemberId("n2@b.1")


def posted(*sizes: int) -> list[PeerMail]:
    """The mail for appends with so many bytes each."""
    member = Held().member
    for index, size in enumerate(sizes, 1):
        entry = Entry(1, index, Commands(1, index, 0, 0, (bytes(size),)))
        member.outbox.post(AppendEntries(1, ME, PEER, index - 1, 1, (entry,), 0, 0, 0))
    member.outbox.flush()
    return [message for target, message in member.sent if target == "registry"]


def lasts(mail: Any) -> list[int]:
    return [
        message.entries[-1].index
        for message in decode_messages(mail.body)
        if isinstance(message, AppendEntries)
    ]


def test_messages_of_a_turn_share_a_mail() -> None:
    (mail,) = posted(10, 20, 30)
    assert lasts(mail) == [1, 2, 3]


def test_a_window_full_of_large_appends_is_parted_into_mail_that_fits_a_frame_in_order() -> None:
    mails = posted(*[CARRIED_BYTES_MAX // 2 - 100] * 5)
    assert [index for mail in mails for index in lasts(mail)] == [1, 2, 3, 4, 5]
    assert max(len(mail.body) for mail in mails) < LinkSettings().frame_bytes_max
