"""An executor as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from select import select

import pytest

from fleet.actors.executor.channel import ProcessChannel
from fleet.actors.messages.executor import ClassTried, FromExecutor, TryClass
from fleet.objects.class_refs import encode_class
from tests.support.unruly import Heavy

PROGRAM = """
import sys
import fleet.actors.executor.process
import fleet
names = ("fleet.node", "fleet.client", "fleet.actors.base", "fleet.actors.member", "lmdb", "thespian")
print([name for name in sys.modules if name.startswith(names)])
"""


def test_an_executor_starts_soon_since_it_imports_nothing_of_the_node() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.fixture
def channel() -> Iterator[ProcessChannel]:
    channel = ProcessChannel()
    yield channel
    channel.end()


def answers(channel: ProcessChannel, count: int) -> list[FromExecutor]:
    received: list[FromExecutor] = []
    while len(received) < count:
        channel.flush()
        assert select([channel.fileno()], [], [], 20.0)[0], received
        received += channel.receive()
    return received


def test_what_waits_behind_a_slow_message_is_handled_without_another_one(channel: ProcessChannel) -> None:
    heavy = encode_class(Heavy)
    for number in (1, 2, 3):
        channel.send(TryClass(number, number, heavy))
    assert answers(channel, 3) == [ClassTried(number, number, None) for number in (1, 2, 3)]
