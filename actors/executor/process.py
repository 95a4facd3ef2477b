"""An executor: the child process of a node that holds users' objects and runs their code.

It reads messages from its node, lets its objects handle them, one after another in turns, and sends what they
answer. It ends when its node does.
"""

import logging
import mmap
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from contextlib import suppress

from msgspec.structs import replace
from setproctitle import setproctitle

from fleet.actors.executor.channel import OUTER_PATH
from fleet.actors.executor.framing import Frames, framed, receive, with_memory
from fleet.actors.executor.hook_threads import ThreadRunner
from fleet.actors.executor.hosted_objects import HostedObjects
from fleet.actors.messages.executor import (
    FromExecutor,
    LogRecord,
    ObjectDumped,
    ObjectMessage,
    decode_command,
    encode,
)
from fleet.actors.runtime.forked_dump import ForkedDump
from fleet.actors.runtime.log_fields import fields_of
from fleet.blocking import HERE
from fleet.interfaces import Dump
from fleet.objects.progress import CELL_BYTES, CELLS, TAKEN
from fleet.system.processes import end_with_parent, limit_memory, raise_descriptor_limit

READ_BYTES = 1 << 20
ANSWERS_BYTES_MAX = 256 * 1024
"""Answers of so many bytes leave at once."""
ANSWER_WITHIN_S = 0.000_5
"""And none waits longer than this for others, unless a slow command comes between."""
READ_EVERY_S = 0.002


class ProcessObjects(HostedObjects):
    def __init__(self, process: "ExecutorProcess", fork_above_bytes: int) -> None:
        super().__init__(
            process.answer,
            ForkedDump,
            cells=process.cells,
            fork_above_bytes=fork_above_bytes,
            hooks=process.hooks,
            tells_tracebacks=True,
        )
        self.process = process

    def answer_from_memory(self, message: ObjectDumped, dump: Dump) -> None:
        assert dump.memory is not None
        self.process.send_with_memory(replace(message, state=b"", in_memory=len(message.state)), dump.memory)
        dump.release()


class ExecutorProcess:
    """Invariant: a number is in `turns` once, exactly when messages for it wait."""

    def __init__(self, sock: socket.socket, cells: memoryview, fork_above_bytes: int) -> None:
        self.socket = sock
        self.frames = Frames()
        self.lock = threading.Lock()
        """Guards sending: hooks log in threads of their own."""
        self.answers: list[bytes] = []
        self.answer_bytes = 0
        self.since = 0.0
        """When the first of these was given."""
        self.cells = cells
        self.hooks = ThreadRunner()
        self.objects = ProcessObjects(self, fork_above_bytes)
        self.memories: deque[int] = deque()
        """Descriptors that have arrived, for the messages that bring one."""
        self.waiting: dict[int, deque[ObjectMessage]] = {}
        self.turns: deque[int] = deque()

    def run(self) -> None:
        """Until the node closes the connection."""
        while self._read(wait=not self.turns):
            until = time.monotonic() + READ_EVERY_S
            while self.turns and time.monotonic() < until:
                self._handle_one()
            if not self.turns:
                self.send_answers()

    def close(self) -> None:
        """The node stops: leaders' hooks are told, and have a moment for it."""
        self.objects.close()
        self.hooks.close()
        with suppress(OSError):  # the node does not wait
            self.send_answers()

    def _handle_one(self) -> None:
        """One message of the object whose turn it is."""
        number = self.turns.popleft()
        waiting = self.waiting[number]
        self.objects.handle(waiting.popleft())
        if waiting:
            self.turns.append(number)
        else:
            del self.waiting[number]

    def _read(self, wait: bool) -> bool:
        """Take what has arrived. False: the node has gone."""
        if wait or self.objects.dumping:
            poll = select.poll()
            for fd in (self.socket.fileno(), *self.objects.dumping):
                poll.register(fd, select.POLLIN)
            ready = [fd for fd, _ in poll.poll(None if wait else 0)]
            for fd in ready:
                self.objects.on_dumped(fd)
            if self.socket.fileno() not in ready:
                return True
        try:
            data, fds = receive(self.socket, READ_BYTES, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.memories += fds
        for frame in self.frames.feed(data):
            self._queue(with_memory(decode_command(frame), self.memories))
        return bool(data)

    def _queue(self, message: ObjectMessage) -> None:
        self.cells[TAKEN] += 1
        waiting = self.waiting.get(message.number)
        if waiting is None:
            waiting = self.waiting[message.number] = deque()
            self.turns.append(message.number)
        waiting.append(message)

    def answer(self, message: FromExecutor) -> None:
        now = time.monotonic()
        with self.lock:
            frame = framed(encode(message))
            if not self.answers:
                self.since = now
            self.answers.append(frame)
            self.answer_bytes += len(frame)
        if self.answer_bytes > ANSWERS_BYTES_MAX or now - self.since > ANSWER_WITHIN_S:
            self.send_answers()

    def send_with_memory(self, message: ObjectDumped, fd: int) -> None:
        self.send_answers()
        with self.lock:
            frame = framed(encode(message))
            sent = socket.send_fds(self.socket, [frame], [fd])
            self.socket.sendall(frame[sent:])

    def send_answers(self) -> None:
        with self.lock:
            if self.answers:
                data = b"".join(self.answers)
                self.answers.clear()
                self.answer_bytes = 0
                self.socket.sendall(data)


class ToNode(logging.Handler):
    """What is logged here appears in the node's log."""

    def __init__(self, process: ExecutorProcess) -> None:
        super().__init__()
        self.process = process

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text, fields = self.format(record), fields_of(record)
            self.process.answer(LogRecord(0, 0, record.name, record.levelno, text, fields))
            if threading.current_thread() is not threading.main_thread():
                self.process.send_answers()
        except Exception:
            self.handleError(record)


def restore_environment() -> None:
    """Programs that users' code starts find their modules as if the node had started them."""
    outer = os.environ.pop(OUTER_PATH, None)
    if outer is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = outer


def _ignore(number: int, frame: object) -> None:
    """A terminal's Ctrl-C and a supervisor's SIGTERM reach every process of the node, which decides. SIG_IGN
    would be inherited by programs that users' code starts."""


def main(arguments: list[str]) -> None:
    *numbers, node = arguments
    socket_fd, cells_fd, memory_max, fork_above_bytes = map(int, numbers)
    end_with_parent()  # a command that never returns would not notice that the node has gone
    restore_environment()
    signal.signal(signal.SIGINT, _ignore)
    signal.signal(signal.SIGTERM, _ignore)
    raise_descriptor_limit()  # a message may bring a descriptor while users' objects hold many
    for fd in (socket_fd, cells_fd):
        os.set_inheritable(fd, False)
    if memory_max:
        limit_memory(memory_max)
    setproctitle(f"fleet executor of node {node}")  # last: one that has its title has its limits
    sock = socket.socket(fileno=socket_fd)
    cells = memoryview(mmap.mmap(cells_fd, CELLS * CELL_BYTES)).cast("Q")
    process = ExecutorProcess(sock, cells, fork_above_bytes)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[ToNode(process)])
    HERE.in_loop = True
    status = 0
    try:
        process.run()
        process.close()
    except ConnectionError:
        pass  # the node has gone
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        os._exit(status)  # hooks that block must not keep it


if __name__ == "__main__":
    main(sys.argv[1:])
