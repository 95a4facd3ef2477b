"""What befalls a simulated fleet, as plain values: drawn from a seed, kept, made smaller, done again."""

from collections.abc import Container, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

MS = 1000
S = 1_000_000


class Fault(Struct, frozen=True, array_like=True):
    """One thing that is done to the world; `FAULTS` names the arguments of each kind."""

    at: int
    """Microseconds since the faults began."""
    what: str
    args: tuple[Any, ...] = ()


class Plan(Struct, frozen=True):
    """What an episode is made of. Of what is None as much is drawn as the seed gives."""

    seed: int
    duration_us: int = 15 * S
    nodes: int | None = None
    groups: tuple[str, ...] | None = None
    """Those to keep of the drawn ones."""
    clients: int | None = None
    has_weather: bool = True
    """Slow disks, and what the network does by itself to messages."""
    faults: tuple[Fault, ...] | None = None
    salt: int = 0
    """Another draw of everything that is left to chance once the faults begin: the same days, other luck."""

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def of_json(cls, text: str | bytes) -> "Plan":
        """Raises `msgspec.MsgspecError` for anything else."""
        plan = msgspec.json.decode(text, type=cls)
        for fault in plan.faults or ():
            if fault.what not in FAULTS or len(fault.args) != len(FAULTS[fault.what]):
                raise msgspec.ValidationError(f"no such fault: {fault}")
        return plan


FAULTS: dict[str, tuple[str, ...]] = {
    "split": ("names",),
    "one_way": ("node", "inward"),
    "partial": ("node", "other"),
    "slow": ("node", "us"),
    "break_links": ("node", "sides"),
    "resolve": ("node", "us", "elsewhere"),
    "kill": ("node", "back_us"),
    "power": ("node", "back_us"),
    "kill_all": ("power", "steps"),
    "rolling": ("steps",),
    "pause": ("node", "us"),
    "busy": ("node", "us"),
    "fail": ("node", "actor", "message", "silently", "back_us"),
    "fork": ("node", "chance"),
    "err": ("node", "chance"),
    "full": ("node",),
    "hang": ("node", "us"),
    "flip": ("node", "key", "byte", "bit"),
    "wipe": ("node", "back_us"),
    "rate": ("node", "per_mille"),
    "jump": ("node", "us"),
    "jump_wall": ("node", "signed_us"),
    "transfer": ("group", "other"),
    "drain": ("node", "state"),
    "add_group": ("group",),
    "remove_group": ("group",),
    "calm": (),
}  # fmt: skip
"""`us` is a duration, `back_us` when it is back (None: not before the calm), `steps` are (node, after us)."""


VITAL = ("node manager", "registry", "disk writer")
"""Actors of which each node has one, and is not without. Others are named by their group."""


def argument(fault: Fault, name: str) -> Any:
    """None where the fault has no such argument."""
    names = FAULTS[fault.what]
    return fault.args[names.index(name)] if name in names else None


def milder(fault: Fault) -> Iterator[Fault]:
    """The same with a shorter duration, the shortest first."""
    for place, name in enumerate(FAULTS[fault.what]):
        value = fault.args[place]
        if name in ("us", "back_us", "signed_us") and value is not None:
            for less in (value // 16, value // 4, value // 2):
                less -= less % MS
                if 0 < abs(less) < abs(value):
                    yield replace(fault, args=(*fault.args[:place], less, *fault.args[place + 1 :]))


def among(faults: tuple[Fault, ...], nodes: Container[str]) -> Iterator[Fault]:
    """What is left of them in a fleet of these nodes."""
    for fault in faults:
        args = tuple(
            tuple(step for step in value if step[0] in nodes) if name == "steps" else value
            for name, value in zip(FAULTS[fault.what], fault.args)
        )
        if all(node is None or node in nodes for node in (argument(fault, "node"), argument(fault, "other"))):
            yield replace(fault, args=args)


# -- in words ----------------------------------------------------------------------------------------


def moment(at: int) -> str:
    return f"{at / S:.3f} s"


def span(us: int) -> str:
    return f"{us / MS:.0f} ms" if abs(us) < S else f"{us / S:.3f} s"


def in_words(fault: Fault, began: int = 0) -> str:
    """A sentence; times count from the world's first moment if `began` says when the faults did."""
    return f"at {moment(began + fault.at)} {what_happens(fault, began)}"


def what_happens(fault: Fault, began: int = 0) -> str:
    now = began + fault.at
    values = dict(zip(FAULTS[fault.what], fault.args))
    node = values.get("node")
    back = values.get("back_us")
    comes_back = "it stays away" if back is None else f"it is back at {moment(now + back)}"
    match fault.what:
        case "split":
            return f"{listed(values['names'])} are cut off from everybody else"
        case "one_way":
            return f"node {node} {'hears no other' if values['inward'] else 'is not heard by the others'}"
        case "partial":
            return f"nodes {node} and {values['other']} are cut off from each other"
        case "slow":
            return f"every message from and to node {node} takes {span(values['us'])} longer"
        case "break_links":
            return f"the links of node {node} break"
        case "resolve":
            where = ", and lead elsewhere" if values["elsewhere"] else ""
            return f"names take {span(values['us'])} to resolve on node {node}{where}"
        case "kill":
            return f"the process of node {node} is killed; {comes_back}"
        case "power":
            return f"node {node} loses power; {comes_back}"
        case "kill_all":
            how = "lose power" if values["power"] else "are killed"
            return f"all nodes {how}; back are {_steps(now, values['steps'])}"
        case "rolling":
            return f"the nodes are restarted in good order: {_steps(now, values['steps'])}"
        case "pause":
            return f"node {node} stands still until {moment(now + values['us'])}"
        case "busy":
            return f"node {node} is busy until {moment(now + values['us'])}: its turns end after any message"
        case "fail":
            who, message = values["actor"], values["message"]
            if who in VITAL:
                return f"the {who} of node {node} ends before its next {message}; the node {comes_back[3:]}"
            how = "dies without a word" if values["silently"] else "fails"
            return f"the member of {who} on node {node} {how} before its next {message}"
        case "fork":
            return f"node {node} has no memory: {values['chance']:.0%} of all forks fail, or their children"
        case "err":
            return f"the disk of node {node} fails {values['chance']:.0%} of all writes"
        case "full":
            return f"the disk of node {node} is full"
        case "hang":
            return f"the disk of node {node} hangs until {moment(now + values['us'])}"
        case "flip":
            return f"a bit of a record on the disk of node {node} turns over"
        case "wipe":
            return f"node {node} loses its disk; {comes_back} with an empty one"
        case "rate":
            return f"the clock of node {node} runs at {values['per_mille'] / 1000:.1%} of true speed"
        case "jump":
            return f"the clock of node {node} jumps ahead by {span(values['us'])}"
        case "jump_wall":
            return f"the wall clock of node {node} is set off by {span(values['signed_us'])}"
        case "transfer":
            return f"an operator moves the leadership of {values['group']} to {values['other']}"
        case "drain":
            return f"an operator sets node {node} to {values['state']}"
        case "add_group":
            return f"an operator adds group {values['group']}"
        case "remove_group":
            return f"an operator removes group {values['group']}"
    assert fault.what == "calm", fault
    return "calm: everything runs and is connected again"


def _steps(now: int, steps: tuple[Any, ...]) -> str:
    return ", ".join(f"{step[0]} at {moment(now + step[1])}" for step in steps)


def listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def settings_in_words(plan: Plan) -> list[str]:
    """What of the plan is not as the seed gives it, apart from who takes part."""
    says = []
    if plan.duration_us != Plan.__struct_defaults__[0]:
        says.append(f"faults for {moment(plan.duration_us)} only")
    if not plan.has_weather:
        says.append("a quick network that loses nothing by itself, and quick disks")
    if plan.salt:
        says.append(f"another draw of chance ({plan.salt})")
    return says
