"""A router that translates addresses, between one host and the switch: the host's own address reaches nobody.

Each connection that the host opens gets another source port. One that was idle for too long, or all of them
when the router restarts, are forgotten without a word, and packets that belong to none vanish.
"""

import socket
import struct
import time
from dataclasses import dataclass, field

BROADCAST = b"\xff" * 6
ARP, IP = b"\x08\x06", b"\x08\x00"
TCP, SYN, ACK = 6, 2, 16
FIRST_PORT = 20_000


@dataclass(slots=True)
class Mapping:
    inside_port: int
    outside_port: int
    used_at: float


@dataclass
class Nat:
    """`inside`, `outside`: IP addresses of the host, as it and as others see it."""

    inside: bytes
    outside: bytes
    idle_s: float
    forwarded: frozenset[int] = frozenset()
    """Ports at which connections from outside are let in, to the same port of the host."""
    port: int = FIRST_PORT
    """Of the next connection."""
    made: int = 0
    """How many connections there were."""
    by_inside: dict[tuple[int, bytes], Mapping] = field(default_factory=dict)
    by_outside: dict[tuple[int, bytes], Mapping] = field(default_factory=dict)
    """By the port on that side, and the peer's address and port."""

    def __post_init__(self) -> None:
        self.mac = b"\x02nat\x00" + self.outside[-1:]

    def forget(self) -> None:
        self.by_inside.clear()
        self.by_outside.clear()

    def leaving(self, frame: bytes, macs: dict[bytes, bytes]) -> bytes | None:
        """A frame of the host as it goes on; None: it vanishes. `macs`: of the hosts outside, by address."""
        packet = _Packet.of(frame)
        if packet is None or packet.source != self.inside:
            return None
        key = packet.source_port, packet.peer(is_source=False)
        mapping = self._known(self.by_inside, key)
        if mapping is None:
            if not packet.is_first:
                return None
            self.port += 1
            mapping = self._made(packet.source_port, self.port, key[1])
        mac = macs.get(packet.target)
        if mac is None:
            return None
        return packet.changed(mac + self.mac, 26, self.outside, packet.tcp, mapping.outside_port)

    def arriving(self, frame: bytes, mac: bytes) -> bytes | None:
        """A frame for the host, whose `mac` that is."""
        packet = _Packet.of(frame)
        if packet is None or packet.target != self.outside:
            return None
        key = packet.target_port, packet.peer(is_source=True)
        mapping = self._known(self.by_outside, key)
        if mapping is None:
            if not packet.is_first or packet.target_port not in self.forwarded:
                return None
            mapping = self._made(packet.target_port, packet.target_port, key[1])
        return packet.changed(mac + self.mac, 30, self.inside, packet.tcp + 2, mapping.inside_port)

    def answer(self, frame: bytes, is_inside: bool) -> bytes | None:
        """To a host that asks which MAC has an address; None: the frame asks for none of the router's."""
        if frame[12:14] != ARP or frame[20:22] != b"\x00\x01":
            return None
        mac, sender, asked = frame[22:28], frame[28:32], frame[38:42]
        if asked == self.inside if is_inside else asked != self.outside:
            return None
        return mac + self.mac + ARP + frame[14:20] + b"\x00\x02" + self.mac + asked + mac + sender

    def _made(self, inside_port: int, outside_port: int, peer: bytes) -> Mapping:
        mapping = Mapping(inside_port, outside_port, time.monotonic())
        self.by_inside[inside_port, peer] = self.by_outside[outside_port, peer] = mapping
        self.made += 1
        return mapping

    def _known(self, table: dict[tuple[int, bytes], Mapping], key: tuple[int, bytes]) -> Mapping | None:
        mapping, now = table.get(key), time.monotonic()
        if mapping is None:
            return None
        if now - mapping.used_at > self.idle_s:
            del self.by_inside[mapping.inside_port, key[1]], self.by_outside[mapping.outside_port, key[1]]
            return None
        mapping.used_at = now
        return mapping


@dataclass(slots=True)
class _Packet:
    """A TCP segment over IPv4 in an Ethernet frame."""

    frame: bytes
    tcp: int
    """Where its header begins."""

    @classmethod
    def of(cls, frame: bytes) -> "_Packet | None":
        if frame[12:14] != IP or frame[23] != TCP:
            return None
        return cls(frame, 14 + 4 * (frame[14] & 15))

    @property
    def source(self) -> bytes:
        return self.frame[26:30]

    @property
    def target(self) -> bytes:
        return self.frame[30:34]

    @property
    def source_port(self) -> int:
        return int.from_bytes(self.frame[self.tcp : self.tcp + 2])

    @property
    def target_port(self) -> int:
        return int.from_bytes(self.frame[self.tcp + 2 : self.tcp + 4])

    @property
    def is_first(self) -> bool:
        return self.frame[self.tcp + 13] & (SYN | ACK) == SYN

    def peer(self, is_source: bool) -> bytes:
        if is_source:
            return self.source + self.frame[self.tcp : self.tcp + 2]
        return self.target + self.frame[self.tcp + 2 : self.tcp + 4]

    def changed(self, macs: bytes, at: int, address: bytes, port_at: int, port: int) -> bytes:
        """With these MAC addresses, and another address and port where those of one side stand."""
        frame = bytearray(self.frame)
        frame[0:12] = macs
        frame[at : at + 4] = address
        frame[port_at : port_at + 2] = port.to_bytes(2)
        tcp = self.tcp
        frame[24:26] = frame[tcp + 16 : tcp + 18] = b"\x00\x00"
        frame[24:26] = checksum(frame[14:tcp])
        length = int.from_bytes(frame[16:18]) - (tcp - 14)
        pseudo = frame[26:34] + struct.pack("!HH", TCP, length)
        frame[tcp + 16 : tcp + 18] = checksum(pseudo + frame[tcp : tcp + length])
        return bytes(frame)


def checksum(data: bytes | bytearray) -> bytes:
    """Of IP and TCP (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", bytes(data) + b"\x00" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2)


def address(text: str) -> bytes:
    return socket.inet_aton(text)
