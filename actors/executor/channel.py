"""The line from a node to one of its executors: a child process, on a socket pair."""

import mmap
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

from msgspec.structs import replace

from fleet.actors.executor.framing import Frames, framed, receive, with_memory
from fleet.actors.messages.executor import (
    IN_MEMORY_ABOVE,
    FromExecutor,
    LoadState,
    ObjectMessage,
    decode_answer,
    encode,
)
from fleet.actors.runtime.forked_dump import write_all
from fleet.objects.progress import CELL_BYTES, CELLS, Cells, Doing, read
from fleet.system.memory import nameless_file
from fleet.system.poll import READ, WRITE, open_poll

OUTER_PATH = "FLEET_OUTER_PYTHONPATH"
"""The variable with the PYTHONPATH of the node's own process."""
READ_BYTES = 1 << 20
WRITE_BYTES_MAX = 1 << 20
ENDS_WITHIN_S = 0.1
"""How long a node waits for a process that closed its connection or was killed. One that hangs in the kernel,
say in a core dump or on a dead mount, must not hold the node."""


class ExecutorEnded(Exception):
    """Nothing more comes from it. The text says how it ended."""


class Channel(Protocol):
    def send(self, message: ObjectMessage) -> None:
        """Never blocks. It leaves with the next `flush`."""

    def flush(self) -> None:
        """Pass on what was sent, as far as that is possible now. `fileno()` tells when more is."""

    def fileno(self) -> int:
        """Readable when `receive` or `flush` have something to do. It may change with each call of these."""

    def receive(self) -> list[FromExecutor]:
        """What has arrived. Raises ExecutorEnded, when all that it sent was received."""

    def doing(self) -> Doing: ...

    @property
    def sent(self) -> int:
        """Messages so far."""

    def finish(self) -> None:
        """Let it end in good order: its objects are closed, and hooks told. Call `end` afterwards."""

    def end(self, patience_s: float = 0.0) -> None:
        """Kill it, unless it ends by itself so soon, and release what belongs to it. Idempotent."""


OpenChannel: TypeAlias = Callable[[], Channel]
"""Starts an executor. Raises OSError."""


class ProcessChannel:
    """Raises OSError when no process can be started."""

    def __init__(self, memory_max: int = 0, fork_above_bytes: int = 0, node: str = "") -> None:
        ours, theirs = socket.socketpair()
        cells_fd = -1
        try:
            ours.setblocking(False)
            cells_fd = nameless_file("fleet-progress")
            os.ftruncate(cells_fd, CELLS * CELL_BYTES)
            self._map = mmap.mmap(cells_fd, CELLS * CELL_BYTES)
            self._poll = open_poll()
            self._process = subprocess.Popen(
                command(theirs.fileno(), cells_fd, memory_max, fork_above_bytes, node),
                pass_fds=(theirs.fileno(), cells_fd),
                stdin=subprocess.DEVNULL,
                env=environment(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            if cells_fd >= 0:
                os.close(cells_fd)
        self._socket: socket.socket | None = ours
        self._cells: Cells = memoryview(self._map).cast("Q")
        self._poll.register(ours.fileno(), READ | WRITE)
        self._frames = Frames()
        self._memories: deque[int] = deque()
        self._gathered: list[bytes] = []
        self._unsent: deque[tuple[memoryview, int | None]] = deque()
        """Each with a descriptor that goes along."""
        self.sent = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: ObjectMessage) -> None:
        self.sent += 1
        if isinstance(message, LoadState) and len(message.state) > IN_MEMORY_ABOVE:
            self._send_with_memory(message)
        else:
            self._gathered.append(framed(encode(message)))

    def _send_with_memory(self, message: LoadState) -> None:
        try:
            fd = memory_with(message.state)
        except OSError:  # no descriptor, or no memory, for now
            self._gathered.append(framed(encode(message)))
            return
        self._close_gathered()
        frame = framed(encode(replace(message, state=b"", in_memory=len(message.state))))
        self._unsent.append((memoryview(frame), fd))

    def _close_gathered(self) -> None:
        if self._gathered:
            self._unsent.append((memoryview(b"".join(self._gathered)), None))
            self._gathered.clear()

    def flush(self) -> None:
        self._close_gathered()
        sock, unsent = self._socket, self._unsent
        while unsent and sock is not None:
            data, fd = unsent[0]
            try:
                count = send(sock, data[:WRITE_BYTES_MAX], fd)
            except BlockingIOError:
                return
            except OSError:  # it has ended: `receive` tells how
                self._forget_unsent()
                return
            if fd is not None:
                os.close(fd)
            if count < len(data):
                unsent[0] = data[count:], None
            else:
                unsent.popleft()

    def _forget_unsent(self) -> None:
        for _, fd in self._unsent:
            if fd is not None:
                os.close(fd)
        self._unsent.clear()

    def fileno(self) -> int:
        """Where something is to be sent still, the descriptor of a poll that also waits for room."""
        assert self._socket is not None
        return self._poll.fileno() if self._unsent else self._socket.fileno()

    def receive(self) -> list[FromExecutor]:
        self.flush()
        sock = self._socket
        if sock is None:
            raise ExecutorEnded("it was ended")
        try:
            data, fds = receive(sock, READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data, fds = b"", []
        if not data:
            raise ExecutorEnded(self._how_it_ended())
        self._memories += fds
        try:
            return [with_memory(decode_answer(frame), self._memories) for frame in self._frames.feed(data)]
        except (ValueError, OSError) as error:
            raise ExecutorEnded(f"its answers cannot be read: {error}") from error

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            return "it closed its connection"
        if status >= 0:
            return f"it ended with status {status}"
        with suppress(ValueError):
            return f"it was ended by {signal.Signals(-status).name}"
        return f"it was ended by signal {-status}"

    def doing(self) -> Doing:
        return read(self._cells)

    def finish(self) -> None:
        self.flush()
        if self._socket is not None:
            with suppress(OSError):  # it has ended already
                self._socket.shutdown(socket.SHUT_WR)

    def end(self, patience_s: float = 0.0) -> None:
        if self._socket is None:
            return
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDS_WITHIN_S)
        self._socket.close()
        self._socket = None
        self._poll.close()
        self._forget_unsent()
        for fd in self._memories:
            os.close(fd)


def memory_with(state: bytes) -> int:
    """A descriptor of memory with it. Raises OSError."""
    fd = nameless_file("fleet-state")
    try:
        write_all(fd, b" ")
        write_all(fd, state)
    except OSError:
        os.close(fd)
        raise
    return fd


def send(sock: socket.socket, data: memoryview, fd: int | None) -> int:
    return sock.send(data) if fd is None else socket.send_fds(sock, [data], [fd])


def command(socket_fd: int, cells_fd: int, memory_max: int, fork_above_bytes: int, node: str) -> list[str]:
    numbers = map(str, (socket_fd, cells_fd, memory_max, fork_above_bytes))
    return [sys.executable, "-P", "-m", "fleet.actors.executor.process", *numbers, node]


def environment() -> dict[str, str]:
    """With it, modules are found where this process finds them."""
    outer = os.environ.get("PYTHONPATH")
    found = {"PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    return {**os.environ, **found, **({OUTER_PATH: outer} if outer is not None else {})}
