"""Faults of the simulated network: of all frames, and of single hosts until the next calm."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Weather:
    """Hosts are named; a cut or slow way is from one to another."""

    delay_us: tuple[int, int] = (100, 500)
    late: float = 0.0
    """How likely a frame takes up to `late_us` longer, and with it whatever follows on its link."""
    late_us: int = 50_000
    breaks: float = 0.0
    """How likely a frame is lost, and its link with it."""
    twice: float = 0.0
    """How likely a frame comes again later. No TCP does this, but Thespian's own base over TCP does."""
    reorder: float = 0.0
    """How likely a frame overtakes those before it, as over a new link beside a dying one."""
    socket_bytes: int = 1 << 20
    """So much of what left over a link and is not read yet is in sockets; the rest waits in its process."""
    cut: set[tuple[str, str]] = field(default_factory=set)
    slow_us: dict[tuple[str, str], int] = field(default_factory=dict)
    names_us: dict[str, int] = field(default_factory=dict)
    """By host, how long it takes there until a name is resolved."""
    misled: set[str] = field(default_factory=set)
    """Hosts where names lead elsewhere, to where nobody listens."""

    def clear(self) -> None:
        """End the faults of single hosts."""
        self.cut.clear()
        self.slow_us.clear()
        self.names_us.clear()
        self.misled.clear()
