"""The contract in dicts: for groups that need no disk, for tests, and under the simulated disk."""

from collections.abc import Callable, Iterable, Iterator
from secrets import token_hex
from typing import TypeAlias, TypeVar

from fleet.errors import StorageFault
from fleet.interfaces import GroupRecord, StoreIdentity
from fleet.storage.keys import GROUP, STAGED, number_of, subject_of
from fleet.storage.shape import Extent
from fleet.storage.steps import found, put_group
from fleet.storage.store import Store
from fleet.storage.transaction import Transaction
from fleet.versions import THIS_BUILD, Build

T = TypeVar("T")

Image: TypeAlias = dict[int, dict[bytes, bytes]]
"""Group number -> key -> record, byte for byte what the durable store would hold."""
Changes: TypeAlias = dict[bytes, bytes | None]
"""None deletes the key."""


class MemoryStore(Store):
    """`image` survives the store: pass it to the next one.

    A simulated disk overrides `commit`, which is called once per synced transaction with all its changes: it
    may raise, or keep a durable copy that lags behind. The image holds real records, so a flipped byte is
    detected as on a disk.
    """

    def __init__(
        self,
        cluster: str,
        node: str,
        *,
        image: Image | None = None,
        incarnation: str | None = None,
        build: Build = THIS_BUILD,
    ) -> None:
        super().__init__(build)
        self.image: Image = image if image is not None else {}
        self._is_open = True
        if not self.image:
            identity = StoreIdentity(cluster, node, incarnation or token_hex(4))
            self._update(lambda txn: found(txn, identity, build.oldest))
        self._adopt(cluster, node, "memory")

    def begin(self, record: GroupRecord) -> None:
        """Begin a group under the number that another store has given it."""
        self._update(lambda txn: put_group(record, txn))
        self._living.add(record.number)
        self._shapes[record.number] = Extent()

    def end(self, number: int) -> None:
        """Forget a group at once, however big it is: for a store that ends with its process, where no crash
        leaves a part of a group. Unknown numbers are ignored."""
        with self._turn:
            self._living.discard(number)
            self._shapes.pop(number, None)
            self._staged.pop(number, None)
            self._litter = {one for one in self._litter if one[0] != number}
            self.image.pop(number, None)
            own = self.image[0]
            for key in [key for key in own if key[4] in (GROUP, STAGED) and subject_of(key) == number]:
                del own[key]

    def commit(self, changes: Changes) -> None:
        """Apply all changes of one transaction to the image."""
        for key, value in changes.items():
            part = self.image.setdefault(number_of(key), {})
            if value is None:
                part.pop(key, None)
            else:
                part[key] = value
        for number in {number_of(key) for key in changes}:
            if not self.image[number]:
                del self.image[number]

    def close(self) -> None:
        self._is_open = False

    def _update(self, act: Callable[[Transaction], T], frees: bool = False) -> T:
        with self._turn:
            self._check()
            txn = _Overlay(self.image)
            result = act(txn)
            self.commit(txn.changes)
            return result

    def _view(self, act: Callable[[Transaction], T]) -> T:
        with self._turn:
            self._check()
            return act(_Overlay(self.image))

    def _check(self) -> None:
        if not self._is_open:
            raise StorageFault("the store is closed")


class _Overlay:
    """A transaction: the image with the changes made so far."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.changes: Changes = {}

    def get(self, key: bytes) -> bytes | None:
        if key in self.changes:
            return self.changes[key]
        return self.image.get(number_of(key), {}).get(key)

    def put(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        self.changes.update(items)

    def delete(self, keys: Iterable[bytes]) -> None:
        self.changes.update(dict.fromkeys(keys))

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in self._keys(start, end):
            record = self.get(key)
            assert record is not None
            yield key, record

    def span(self, start: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        found_keys = self._keys(start, end)
        return (found_keys[0], found_keys[-1]) if found_keys else None

    def _keys(self, start: bytes, end: bytes) -> list[bytes]:
        """A range is always within one group, or within the store's own part."""
        part = self.image.get(number_of(start), {})
        candidates = part.keys() | self.changes.keys() if self.changes else part.keys()
        return sorted(key for key in candidates if start <= key < end and self.get(key) is not None)
