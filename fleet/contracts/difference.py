"""One difference between two contracts."""

from typing import Final

from msgspec import Struct

CALLERS: Final = "callers"
STATES: Final = "states"
NOTHING: Final = ""


class Difference(Struct, frozen=True):
    where: str
    """A method, a field, a type; "" is the class."""
    what: str
    breaks: str = NOTHING
    """CALLERS: calls of programs that know the class as it was fail, or mean something else. STATES: what is
    stored cannot be loaded, or means something else."""
    remedy: str = ""

    def __str__(self) -> str:
        said = f"{self.where}: {self.what}" if self.where else self.what
        return said + (f" - {self.remedy}" if self.remedy else "")
