"""A node in this very thread, on links without sockets: hundreds of thousands of inputs a minute."""

import random
from collections.abc import Callable
from typing import Any

from fleet.actors.base.addresses import Address, LocalId
from fleet.actors.base.handshake import Acceptor, Connector, Hello, LinkIdentity
from fleet.actors.base.link import CLOSED, PROVING, UP, Link
from fleet.actors.base.links import Links
from fleet.actors.base.peers import Peer
from fleet.actors.base.role_secrets import Limited
from fleet.actors.base.settings import LinkSettings
from fleet.actors.base.tls import Credentials
from fleet.actors.messages.client import KeepWatch, WatchGroup
from fleet.actors.messages.operator import HostMember, SetSecrets
from fleet.actors.messages.values import GroupSpec
from fleet.actors.messages.well_known import MANAGER, REGISTRY
from fleet.actors.node.allowed import ENVELOPES
from fleet.actors.node.gate import Gates
from fleet.objects.class_refs import encode_class
from fleet.raft.config import GroupConfig
from fleet.raft.entries import Founded
from fleet.raft.ids import member_id
from fleet.roles import ROLES, claim_of, encode_claim
from fleet.versions import NEWEST, OLDEST
from tests.actors.base.helpers import CLUSTER, SECRET
from tests.fuzz.inputs import CHANNEL, Inputs
from tests.support.classes import Counter
from tests.support.node_bench import N1, NodeBench

GROUP = "victim"
MEMBER = member_id(N1, "aaaa", "f1")
SOCKET_BYTES = 256 * 1024


class Socket:
    """One that takes everything and gives what it was told to."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.incoming = b""

    def fileno(self) -> int:
        return self.fd

    def recv_into(self, space: memoryview) -> int:
        if not self.incoming:
            raise BlockingIOError
        taken, self.incoming = self.incoming[: len(space)], self.incoming[len(space) :]
        space[: len(taken)] = taken
        return len(taken)

    def send(self, data: Any) -> int:
        return len(data)

    def close(self) -> None: ...


class Open:
    """A TlsStream on which TLS is established, without the encryption."""

    is_open = True
    has_ended = False

    def __init__(self) -> None:
        self.arrived = b""

    def receive(self, data: memoryview) -> None:
        self.arrived += data

    def read_into(self, space: memoryview) -> int:
        taken, self.arrived = self.arrived[: len(space)], self.arrived[len(space) :]
        space[: len(taken)] = taken
        return len(taken)

    def seal(self, data: Any) -> bytes:
        return bytes(data)


class Events:
    """A reactor that looks at nothing by itself."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.watched: set[int] = set()

    def add(self, fd: int, mask: int, handler: Callable[[int], None]) -> None:
        self.watched.add(fd)

    def change(self, fd: int, mask: int) -> None: ...

    def remove(self, fd: int) -> None:
        self.watched.discard(fd)

    def call_at(self, when: float, action: Callable[[], None]) -> None: ...

    def post(self, action: Callable[[], None]) -> None: ...


class Direct:
    """Invariant between two inputs: everything that an input brought has been handled."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.bench = bench = NodeBench()
        bench.start()
        spec = GroupSpec(
            GROUP, encode_class(Counter), GroupConfig(), 7, MEMBER, Founded(MEMBER, "", GroupConfig())
        )
        bench.request(HostMember(spec, ()))
        self.events = Events(bench.transport.now)
        settings = LinkSettings(cluster=CLUSTER)
        credentials = Credentials(CLUSTER, SECRET)
        self.links = Links(self.events, bench.kernel, settings, credentials, None, Gates().admit)
        self._deliver = bench.kernel.deliver
        bench.kernel.deliver = self._checked  # type: ignore[method-assign]
        identity = LinkIdentity(CLUSTER, SECRET, 4711, "", 1 << 20)
        self.inputs = Inputs(self.rng, identity, GROUP, MEMBER, bench.kernel.endpoint)
        self.fd = 0
        self.up: Link | None = None
        self.count = 0
        self.closed = 0
        self.passed = 0
        """Messages that a gate has let pass."""
        self.leaked: list[Any] = []
        """Those of them that no gate may."""

    def _link(self, peer: Peer[Link] | None) -> Link:
        self.fd += 1
        link = Link(self.links, Socket(self.fd), peer, "fuzz:1")  # type: ignore[arg-type]
        link.stage = PROVING
        self.links._unproved[link] = None
        self.links._all.add(link)
        self.events.add(self.fd, 0, link.on_event)
        return link

    def _feed(self, link: Link, data: bytes) -> None:
        sock: Any = link.sock
        sock.incoming = data
        while sock.incoming and link.stage is not CLOSED:
            link.on_event(1)
            self.links.flush()
        self.count += 1
        self.closed += link.stage is CLOSED

    def one(self) -> None:
        """One input, and what becomes of it."""
        how = self.rng.random()
        if how < 0.02:
            self._unproved(self._link(None), self.inputs.stranger())
        elif how < 0.04:
            self._unproved(self._link(Peer[Link]("fuzz:1")), self.inputs.stranger())
        elif how < 0.25:
            link = self._opened(self._link(None))
            link._handshake = Acceptor(self.inputs.identity, CHANNEL)
            self._unproved(link, self.inputs.offer())
        elif how < 0.4:
            link = self._opened(self._link(Peer[Link]("fuzz:1")))
            link._handshake = Connector(self.inputs.identity, CHANNEL)
            self._unproved(link, self.inputs.answer())
        else:
            if self.up is None:
                self.up = self._opened(self._link(None))
                self.up._handshake = Acceptor(self.inputs.identity, CHANNEL)
                self.up.limited = self._role() if self.rng.random() < 0.5 else None
                self.up._rise(Hello(4711, "", 1 << 20, OLDEST, NEWEST))
            self._feed(self.up, self.inputs.frame())
            if self.up._reader._frame is not None:
                self.links.closed(self.up, "done")  # it announced a frame that will never come
            if self.up.stage is CLOSED:
                self.up = None
        self._settle()

    def _role(self) -> Limited:
        """What the next link's peer may do, which has no secret."""
        claim = claim_of(self.rng.choice(list(ROLES)), self.rng.choice(((), (GROUP,), ("other/*",))))
        return Limited(encode_claim(claim), "f00d", 0.0, SECRET, b"")

    def _checked(self, local: LocalId, sender: Address, message: Any) -> None:
        if self.up is not None and self.up.limited is not None:
            self.passed += 1
            is_known = type(message) in (*ENVELOPES, WatchGroup, KeepWatch)
            is_for_nodes = type(getattr(message, "op", None)) in (HostMember, SetSecrets)
            if local not in (MANAGER, REGISTRY) or not is_known or is_for_nodes:
                self.leaked.append((local, message))  # an assert here would only end the link
        self._deliver(local, sender, message)

    def _opened(self, link: Link) -> Link:
        link._tls = Open()  # type: ignore[assignment]
        return link

    def _unproved(self, link: Link, data: bytes) -> None:
        self._feed(link, data)
        assert link.stage is not UP, "nobody has proved anything"
        self.links.closed(link, "done")

    def _settle(self) -> None:
        bench = self.bench
        if self.count % 50 == 0:
            bench.transport.time += 0.05
        for _ in range(20):
            if not bench.kernel.run(bench.transport.now(), 1000):
                break
        bench.transport.sent.clear()
        bench.got.clear()
        bench.senders.clear()
        self.links.flush()

    def has_group(self) -> bool:
        """False: a colleague has told the member, in form, that it was removed. What colleagues say in form
        is believed."""
        return bool(self.bench.kernel.instance(self.bench.manager).hosted_members.by_name)

    def check(self) -> None:
        """Every actor that the node began with is there and well."""
        bench = self.bench
        assert not self.leaked, self.leaked
        manager = bench.kernel.instance(bench.manager)
        assert manager is not None and not manager.failed, "the node manager ended"
        registry = bench.kernel.instance(manager.registry)
        assert registry is not None and not registry.failed, "the registry ended"
        assert len(self.links._all) <= 1 and len(self.events.watched) <= 1, "links are kept"
