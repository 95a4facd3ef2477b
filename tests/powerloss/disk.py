"""A disk that has lost power: what had been synced is there, and of the rest whatever chance left.

The rules are those of POSIX, which promise less than any one file system:

- A write is safe once its file was synced after it, or at once if it was made with O_DSYNC, alone. Until
  then any subset of its sectors may be there; where a file has grown, the rest may be zeros or old bytes.
- A name (created, renamed, removed) is safe once its directory was synced after it; a sync of the file does
  not do that. Until then the changes of a directory may end anywhere, but come in their order, as journals
  of file systems keep it.
- What was written by mapping a file may be there or not.
"""

import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .journal import Kind, Record

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""
PAGE_BYTES = 4096


@dataclass(slots=True)
class Change:
    """Of a file's content, not covered by a sync of the file."""

    offset: int
    data: bytes | None
    """None: the file is cut to, or extended to, `offset`."""
    number: int = 0
    is_safe: bool = False


@dataclass(slots=True, eq=False)
class File:
    safe: bytearray = field(default_factory=bytearray)
    open: list[Change] = field(default_factory=list)
    is_mapped: bool = False

    def sync(self) -> None:
        for change in self.open:
            apply(self.safe, change.offset, change.data)
        self.open.clear()


class Naming(NamedTuple):
    """A change of a directory: `name` stands for `what` from then on (None: for nothing), and `gone`, if it
    was renamed, for nothing."""

    name: str
    what: "Node | None"
    gone: str = ""


@dataclass(slots=True, eq=False)
class Folder:
    now: dict[str, "Node"] = field(default_factory=dict)
    safe: dict[str, "Node"] = field(default_factory=dict)
    open: list[Naming] = field(default_factory=list)

    def change(self, naming: Naming) -> None:
        rename(self.now, naming)
        self.open.append(naming)

    def sync(self) -> None:
        self.safe = dict(self.now)
        self.open.clear()


Node = File | Folder


def apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def rename(names: dict[str, Node], naming: Naming) -> None:
    if naming.gone:
        names.pop(naming.gone, None)
    if naming.what is None:
        names.pop(naming.name, None)
    else:
        names[naming.name] = naming.what


class Disk:
    """The files below `root`. All that is there at first is safe."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.top = _read(self.root)

    def replay(self, records: Iterable[Record]) -> "Disk":
        for record in records:
            self._replay(record)
        return self

    def _replay(self, record: Record) -> None:
        match record.kind:
            case Kind.CREATE | Kind.MKDIR:
                folder, name = self._place(record.path)
                if record.kind is Kind.MKDIR or name not in folder.now:
                    folder.change(Naming(name, Folder() if record.kind is Kind.MKDIR else File()))
            case Kind.WRITE:
                self._file(record.path).open.append(Change(record.offset, record.data, record.number))
            case Kind.TRUNCATE:
                self._file(record.path).open.append(Change(record.offset, None))
            case Kind.SYNC:
                self._node(record.path).sync()
            case Kind.SYNCED:
                for change in self._file(record.path).open:
                    change.is_safe = change.is_safe or change.number == record.number
            case Kind.RENAME:
                folder, name = self._place(record.path)
                target, new = self._place(record.other)
                assert folder is target, f"{record.path} leaves its directory: not modelled"
                folder.change(Naming(new, folder.now[name], name))
            case Kind.LINK:
                folder, name = self._place(record.other)
                folder.change(Naming(name, self._node(record.path)))
            case Kind.REMOVE:
                folder, name = self._place(record.path)
                folder.change(Naming(name, None))
            case Kind.MAP:
                self._file(record.path).is_mapped = True
            case Kind.STRANGE:
                raise AssertionError(f"{record.other} of {record.path}: not modelled")

    def _place(self, path: str) -> tuple[Folder, str]:
        node: Node = self.top
        *folders, name = Path(path).relative_to(self.root).parts
        for one in folders:
            assert isinstance(node, Folder)
            node = node.now[one]
        assert isinstance(node, Folder)
        return node, name

    def _node(self, path: str) -> Node:
        if Path(path) == self.root:
            return self.top
        folder, name = self._place(path)
        return folder.now[name]

    def _file(self, path: str) -> File:
        node = self._node(path)
        assert isinstance(node, File), path
        return node

    def unsynced(self) -> int:
        """Writes and names that a loss of power may take away now."""
        return _unsynced(self.top)

    def lose_power(self, chance: "Chance") -> "Loss":
        """Write below the root what is left if the power goes now. Only the files change: asked again, it may
        leave something else."""
        loss = Loss(self.unsynced())
        _leave(self.top, self.root, chance, loss)
        return loss


class Loss:
    """What one loss of power met."""

    def __init__(self, unsynced: int) -> None:
        self.unsynced = unsynced
        self.lost = 0
        """Of those, wholly gone."""
        self.torn = 0
        """Of those, there in part."""


class Chance:
    """How much of what was not synced is there: `kept` of 0 is nothing, of 1 everything, between them it is
    drawn for each sector or page (`unit_bytes`), and for each directory up to where its changes come.
    `leftovers`: where a file has grown it has old bytes instead of zeros."""

    def __init__(self, rng: random.Random, kept: float, unit_bytes: int, leftovers: bool = False) -> None:
        self.rng = rng
        self.kept = kept
        self.unit_bytes = unit_bytes
        self.leftovers = leftovers

    @classmethod
    def nothing(cls) -> "Chance":
        return cls(random.Random(0), 0.0, PAGE_BYTES)

    @classmethod
    def everything(cls) -> "Chance":
        return cls(random.Random(0), 1.0, PAGE_BYTES)

    @classmethod
    def drawn(cls, rng: random.Random) -> "Chance":
        kept = rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        return cls(rng, kept, rng.choice([SECTOR_BYTES, PAGE_BYTES]), rng.random() < 0.5)

    def keeps(self) -> bool:
        return self.rng.random() < self.kept

    def up_to(self, count: int) -> int:
        return count if self.kept == 1 else 0 if self.kept == 0 else self.rng.randint(0, count)


def _read(path: Path) -> Folder:
    folder = Folder()
    for child in path.iterdir():
        assert not child.is_symlink(), child
        folder.now[child.name] = _read(child) if child.is_dir() else File(bytearray(child.read_bytes()))
    folder.sync()
    return folder


def _unsynced(node: Node) -> int:
    if isinstance(node, File):
        return sum(not change.is_safe for change in node.open)
    below = {id(child): child for child in (*node.now.values(), *node.safe.values())}
    return len(node.open) + sum(map(_unsynced, below.values()))


def _leave(folder: Folder, path: Path, chance: Chance, loss: Loss) -> None:
    names = dict(folder.safe)
    come = chance.up_to(len(folder.open))
    for naming in folder.open[:come]:
        rename(names, naming)
    loss.lost += len(folder.open) - come
    for child in path.iterdir():  # what stays is written over: to remove a directory takes milliseconds
        if child.is_dir() is not isinstance(names.get(child.name), Folder):
            shutil.rmtree(child) if child.is_dir() else child.unlink()
        elif child.name not in names:
            child.unlink()
    for name, node in names.items():
        if isinstance(node, Folder):
            (path / name).mkdir(mode=0o700, exist_ok=True)
            _leave(node, path / name, chance, loss)
        else:
            (path / name).write_bytes(_content(node, chance, loss))
            (path / name).chmod(0o600)


def _content(file: File, chance: Chance, loss: Loss) -> bytes:
    content = bytearray(file.safe)
    for change in file.open:
        if change.is_safe or change.data is None:
            if change.is_safe or chance.keeps():
                apply(content, change.offset, change.data)
            else:
                loss.lost += 1
            continue
        parts = _parts(change.offset, len(change.data), chance.unit_bytes)
        kept = [part for part in parts if chance.keeps()]
        loss.lost += not kept
        loss.torn += 0 < len(kept) < len(parts)
        if kept and chance.leftovers and kept[-1].stop > len(content):
            content.extend(chance.rng.randbytes(kept[-1].stop - len(content)))
        for part in kept:
            data = change.data[part.start - change.offset : part.stop - change.offset]
            apply(content, part.start, data)
    if file.is_mapped:
        content = bytearray(chance.rng.choice([bytes(content), bytes(len(content)), b""]))
    return bytes(content)


def _parts(offset: int, length: int, unit_bytes: int) -> list[range]:
    """Where the disk may stop: at multiples of its unit."""
    cuts = range(offset // unit_bytes * unit_bytes + unit_bytes, offset + length, unit_bytes)
    return [range(a, b) for a, b in zip([offset, *cuts], [*cuts, offset + length], strict=True)]
