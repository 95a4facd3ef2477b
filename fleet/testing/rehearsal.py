"""A recorded part of a group's past, executed by the class in force and by the one that is to follow it.

Each is executed in a process of its own, since both may have one name:
`python -m fleet.testing.rehearsal former|later JOB`. The first writes down what each command answered and
left behind, the second compares. Where the code of the class in force is not there any more, which is usual
once new files are deployed, the states that the group itself has kept are compared instead.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from msgspec import Struct

from fleet.errors import CannotReplay, CannotUpgrade, FleetError
from fleet.objects.class_refs import decode_class, version_of
from fleet.objects.executor import ObjectExecutor
from fleet.objects.recording import Recording, records_in, write_record
from fleet.objects.rehearsed import OtherPast, PastOutcome, Rehearsal
from fleet.objects.replay import PastCommand, Reached, Replay, ReplayWatcher
from fleet.objects.watchers import as_call
from fleet.testing.canonical import canonical
from fleet.testing.histories import answer_of
from fleet.testing.scripts import in_words

PROCESS_S: Final = 600
SMALL_BYTES_MAX: Final = 4096
"""A state up to this size is compared after each command."""
BIG_EVERY: Final = 64
"""A bigger one after so many commands, and at the end."""
NO_WAY_BACK: Final = "only that class could turn states back for an older version"
SHOWN_MAX: Final = 2000
"""Characters of a state."""


class _Job(Struct, frozen=True):
    recording: str
    data_class: bytes
    """The later one."""
    methods: list[str]
    """Its commands and reminders."""
    left: str
    """The file of `PastOutcome`."""
    base: str
    """The file of the state that the recording begins with, turned back for an older version; or none."""
    result: str


_encode = msgspec.msgpack.Encoder().encode
_read_left = msgspec.msgpack.Decoder(PastOutcome).decode


def rehearse(
    recording: Recording,
    data_class: bytes,
    kept: Sequence[PastOutcome],
    former: str | None,
    methods: Sequence[str],
) -> Rehearsal:
    """Compare the classes on what is recorded, which has no switch of the class.

    Args:
        data_class: the later one. methods: its commands and reminders.
        kept: states that the group has kept, to be compared where there is no former code; none on the way
            back to an older version, which the class in force has to turn states back for.
        former: a directory with the former code.

    Raises: CannotUpgrade: a process fails, or takes longer than `PROCESS_S`, or the former code is not in
        `former`; says why.
    """
    with tempfile.TemporaryDirectory(prefix="fleet-rehearsal-") as home:
        left, base, result = (f"{home}/{name}" for name in ("left", "base", "result"))
        job = _Job(f"{home}/recording", data_class, [*methods], left, base, result)
        recording.save(job.recording)
        Path(home, "job").write_bytes(_encode(job))
        paths = [former] if former is not None else []
        told = _run("former", home, recording.group, [*paths, *sys.path])
        if told and former is not None:
            raise CannotUpgrade(f"{former} has not the code as it was: {told}", group=recording.group)
        if told and is_back(recording, data_class) and recording.base.index:
            return Rehearsal(unknown=f"{told}; {NO_WAY_BACK}")
        if told:
            with open(job.left, "wb") as file:
                for one in kept:
                    write_record(file, _encode(one))
        _run("later", home, recording.group, sys.path)
        found = msgspec.msgpack.decode(Path(job.result).read_bytes(), type=Rehearsal)
    return msgspec.structs.replace(found, unknown=told)


def is_back(recording: Recording, data_class: bytes) -> bool:
    """Whether the class is an older version of the one that has executed what is recorded."""
    in_force = recording.data_class
    return in_force != b"" and version_of(in_force)[0] > version_of(data_class)[0]


def _run(role: str, home: str, group: str, paths: Sequence[str]) -> str:
    """Returns why the class in force is not there; "": it is."""
    command = [sys.executable, "-m", "fleet.testing.rehearsal", role, f"{home}/job"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, paths))}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=PROCESS_S, cwd=home)
    except subprocess.TimeoutExpired:
        what = f"the rehearsal takes longer than {PROCESS_S} s: does every command end?"
        raise CannotUpgrade(what, group=group) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-SHOWN_MAX:]
        raise CannotUpgrade(f"the rehearsal failed: {said}", group=group)
    return done.stdout.decode()


# -- the class in force ----------------------------------------------------------------------------


class _WritesDown(ReplayWatcher):
    def __init__(self, job: _Job, file: IO[bytes]) -> None:
        self.file, self.known = file, set(job.methods)
        self.version, _ = version_of(job.data_class)
        self.count = 0

    def after(self, replay: Replay, command: PastCommand, value: bytes) -> None:
        call = as_call(replay, command)
        self.count += 1
        state = b""
        is_small = replay.applier.journal.bytes_about() <= SMALL_BYTES_MAX
        if is_small or self.count % BIG_EVERY == 0 or call.method not in self.known or command.is_skipped:
            state = replay.executor.dump(self.version)
        answer = in_words(answer_of(value))
        about = (command.index, command.revision, "" if command.is_skipped else call.method, str(call))
        write_record(self.file, _encode(PastOutcome(*about, answer, state)))


def former(job: _Job) -> str:
    recording = Recording.load(job.recording)
    with open(job.left, "wb") as file:
        try:
            watcher = _WritesDown(job, file)
            replay = Replay(recording, watcher)
            if is_back(recording, job.data_class) and recording.base.index:
                Path(job.base).write_bytes(replay.applier.dump(watcher.version))
            replay.run()
        except CannotReplay as error:
            return error.what
        if replay.applier.index:
            state = b"" if replay.applier.is_unused else replay.executor.dump(watcher.version)
            write_record(file, _encode(PastOutcome(replay.applier.index, replay.revision, state=state)))
    return ""


# -- the later one ---------------------------------------------------------------------------------


class _Compares(ReplayWatcher):
    def __init__(self, cls: type[Any], methods: Sequence[str], left: Iterator[PastOutcome]) -> None:
        self.cls, self.left, self.known = cls, left, set(methods)
        self.next = next(left, None)
        self.commands, self.states, self.equal_at = 0, 0, 0
        self.gone: dict[str, int] = {}
        self.is_astray = False
        """The object is not what it would be: commands were left out."""
        self.difference: OtherPast | None = None

    def after(self, replay: Replay, command: PastCommand, value: bytes) -> None:
        one = self.next
        if one is None or one.revision != command.revision or not one.call:
            method = "" if command.is_skipped else as_call(replay, command).method
            if method not in self.known:  # what it left behind is not known before the next state
                self._leave_out(method)
                self.is_astray = True
            return
        self.next = next(self.left, None)
        if one.method not in self.known:
            self._leave_out(one.method)
            self._adopt(replay, one.state)
            return
        self.commands += 1
        answer = in_words(answer_of(value))
        before, after = self._states(replay, one.state) if one.state else ("", "")
        if answer != one.answer or before != after:
            shown = f"{one.answer}, state {before}", f"{answer}, state {after}"
            self._differs(one, *(shown if one.state else (one.answer, answer)))

    def passed(self, replay: Replay) -> None:
        """States that belong to no command."""
        while self.next is not None and not self.next.call and self.next.index <= replay.applier.index:
            one, self.next = self.next, next(self.left, None)
            if one.index == replay.applier.index and self.is_astray:
                self._adopt(replay, one.state)
            elif one.index == replay.applier.index:
                before, after = self._states(replay, one.state)
                if before != after:
                    self._differs(one, f"state {before}", f"state {after}")

    def _states(self, replay: Replay, state: bytes) -> tuple[str, str]:
        """That of the class in force, migrated, and the own one."""
        self.states += 1
        migrated = ObjectExecutor(self.cls)
        migrated.load(state)
        texts = canonical(migrated._state()), canonical(_state_of(replay))
        if texts[0] == texts[1]:
            self.equal_at = replay.revision
        return texts

    def _differs(self, one: PastOutcome, before: str, after: str) -> None:
        told = (one.revision, one.call, self.equal_at, before[:SHOWN_MAX], after[:SHOWN_MAX])
        self.difference = OtherPast(*told)
        raise Reached

    def _leave_out(self, method: str) -> None:
        name = method or "a command that was skipped"
        self.gone[name] = self.gone.get(name, 0) + 1

    def _adopt(self, replay: Replay, state: bytes) -> None:
        """Go on from what the class in force has left."""
        self.is_astray = False
        replay.executor.load(state)
        replay.applier.journal.rebase(replay.applier.index, lambda: state, len(state))


def _state_of(replay: Replay) -> Any:
    assert isinstance(replay.executor, ObjectExecutor)
    return replay.executor._state()


def later(job: _Job) -> str:
    recording = Recording.load(job.recording)
    if Path(job.base).exists():
        recording.state = Path(job.base).read_bytes()
    cls = decode_class(job.data_class)
    with open(job.left, "rb") as file:
        compares = _Compares(cls, job.methods, map(_read_left, records_in(file)))
        compares.equal_at = recording.base.revision
        replay = Replay(recording, compares, instead=job.data_class)
        replay.run()
    counts = (recording.base.revision, replay.revision, compares.commands, compares.states)
    result = Rehearsal(*counts, compares.gone, compares.difference)
    Path(job.result).write_bytes(_encode(result))
    return ""


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the class prints is not ours
    role, path = sys.argv[1:]
    job = msgspec.msgpack.decode(Path(path).read_bytes(), type=_Job)
    try:
        said = {"former": former, "later": later}[role](job)
    except FleetError as error:
        sys.exit(f"{type(error).__name__}: {error.what}")
    with out:
        out.write(said)


if __name__ == "__main__":
    main()
