import asyncio
import copy
import inspect
import pickle
import pydoc
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Final, cast

import pytest

import fleet.testing
from fleet.errors import (
    BadArguments,
    CommandFailed,
    ConfigError,
    FleetError,
    ImpureCommand,
    NoSuchGroup,
    NotEncodable,
    OutcomeUnknown,
    Reject,
    Rejected,
    WouldDeadlock,
)
from fleet.interfaces import Context
from fleet.objects.context import ctx, executing
from fleet.objects.declare import RESERVED, Data, bind, command, group_of, query
from fleet.objects.executor import ObjectExecutor
from fleet.objects.handles import CallOptions, Kind
from fleet.objects.outcomes import Failed, Succeeded
from fleet.objects.payload import decode_class, encode_class, encode_ok
from fleet.objects.replies import Reply


class Counter(Data):
    value: int = 0
    notes: dict[str, list[int]] = {"all": []}
    STEP: ClassVar[int] = 1
    LIMIT: Final = 100

    @command
    def add(self, n: int = 1) -> int:
        """Add, and tell the sum."""
        if n < 0:
            raise Reject("n must not be negative")
        self.value += n
        self.notes["all"].append(n)
        return self.value

    @query
    def get(self) -> int:
        return self.value

    def helper(self) -> int:
        return self.value


class Direct:
    """A caller with the group in the same process. Answers at once."""

    def __init__(self, cls: type) -> None:
        self.machine = ObjectExecutor(cls)
        self.calls: list[tuple[str, Kind, str, float | None]] = []

    def submit(self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions) -> Reply[Any]:
        self.calls.append((group, kind, method, options.timeout))
        index = len(self.calls)
        if kind == "command":
            result, _ = self.machine.apply(world(index), payload)
        else:
            result, _ = self.machine.query(payload)
        reply: Reply[Any] = Reply()
        reply.settle(Succeeded(result))
        return reply

    def submit_aio(
        self, group: str, kind: Kind, method: str, payload: bytes, options: CallOptions
    ) -> Awaitable[Any]:
        return asyncio.wrap_future(self.submit(group, kind, method, payload, options))

    def wait(self, reply: Reply[Any], options: CallOptions) -> bytes:
        return reply.raw(options.timeout)


LOADED_BY: list[str] = []


class Watched:
    def __setstate__(self, state: object) -> None:
        LOADED_BY.append(threading.current_thread().name)

    def __getstate__(self) -> object:
        return "state"


def world(index: int = 1, now_ms: int = 1_700_000_000_500, session: int = 7, seq: int = 3) -> Context:
    return Context(index=index, now_ms=now_ms, session=session, seq=seq, client="c1")


# -- plain instances ------------------------------------------------------------------------------


def test_a_plain_instance_runs_its_methods_there_and_then() -> None:
    counter = Counter()
    assert counter.add(5) == 5
    assert counter.get() == 5
    assert Counter.add(counter, 1) == 6


def test_mutable_defaults_are_copied_for_each_instance() -> None:
    first, second = Counter(), Counter()
    first.add(5)
    assert second.notes == {"all": []}
    assert Counter.notes == {"all": []}


def test_a_field_may_have_a_factory() -> None:
    """It said "cannot pickle 'mappingproxy' object" on every member."""

    class Local(Data):
        step: int = field(default=2)
        names: dict[str, list[int]] = field(default_factory=lambda: {"all": []})

        @command
        def put(self, n: int) -> None:
            self.names["all"].append(n * self.step)

    arrived: Any = decode_class(encode_class(Local))
    first, second = arrived(), arrived()
    first.put(3)
    assert (first.names, second.names, second.step) == ({"all": [6]}, {"all": []}, 2)
    with pytest.raises(AttributeError, match="names"):
        del first.names
    with pytest.raises(ConfigError, match="Wrong.names has no first value"):
        mistaken("names: list[int] = field()")


def test_a_dataclass_is_a_data_class_too() -> None:
    """Whose decorator takes a field with a factory out of the class."""

    @dataclass
    class Local(Data):
        step: int = 2
        names: list[str] = field(default_factory=list)

    arrived: Any = decode_class(encode_class(Local))
    assert arrived.__new__(arrived).__dict__ == {"step": 2, "names": []}
    assert arrived() == Local.__new__(arrived)


def test_what_is_shared_on_purpose_is_let_pass() -> None:
    mistaken("notes: ClassVar[list[int]] = []\nSTEPS = [1, 2]\nsizes: set[int] = set()\nstep = (1, 2)")


def test_constants_are_not_state() -> None:
    assert Counter().__dict__ == {"value": 0, "notes": {"all": []}}


def test_init_without_arguments_may_make_the_state_instead() -> None:
    class Basket(Data):
        size: int = 3
        items: list[int]

        def __init__(self) -> None:
            self.items = [self.size]

    assert Basket().__dict__ == {"size": 3, "items": [3]}


def test_a_subclass_inherits_fields_methods_and_version() -> None:
    class First(Counter, version=4):
        more: int = 1

    class Second(First):
        value: int = 10

    assert Second().add(1) == 11
    assert Second().more == 1
    assert Second.__fleet_version__ == 4


@pytest.mark.parametrize("use", [lambda c: c.submit(1), lambda c: c.aio(1), lambda c: c.options(timeout=1)])
def test_a_plain_instance_has_no_group_to_submit_to(use: Callable[[Any], Any]) -> None:
    with pytest.raises(NoSuchGroup, match="Counter.add"):
        use(Counter().add)


def test_a_field_cannot_be_deleted() -> None:
    with pytest.raises(AttributeError, match="value"):
        del Counter().value


ADD: dict[str, Any] = {
    "the class": Counter.add,
    "an instance": Counter().add,
    "a handle": bind(Counter, "g", cast(Any, None)).add,
    "a handle, with options": bind(Counter, "g", cast(Any, None)).add.options(timeout=1),
}


@pytest.mark.parametrize("where", ADD)
def test_help_and_inspect_find_the_users_method(where: str) -> None:
    add = ADD[where]
    taken = "(self, n: int = 1) -> int" if where == "the class" else "(n: int = 1) -> int"
    assert str(inspect.signature(add)) == taken
    assert inspect.getdoc(add) == "Add, and tell the sum."
    assert (add.__name__, add.__qualname__) == ("add", "Counter.add")
    assert add.__wrapped__ is Counter.add.function
    text = pydoc.plain(pydoc.render_doc(add))
    assert f"add{taken}\n    Add, and tell the sum.\n" in text
    with pytest.raises(AttributeError, match="nonsense"):
        add.nonsense


def test_help_of_a_handle_is_that_of_its_class() -> None:
    text = pydoc.plain(pydoc.render_doc(bind(Counter, "g", cast(Any, None))))
    assert "class Counter(fleet.Data)" in text and " add(self, n: int = 1) -> int" in text


def test_help_knows_the_functional_style() -> None:
    assert str(inspect.signature(bind(Register, "r", cast(Any, None)).command)).startswith("(arg: int)")


# -- definitions that cannot be -------------------------------------------------------------------


def mistaken(body: str, keywords: str = "") -> None:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    exec(f"class Wrong(Data{keywords}):\n{lines}", globals() | {"__name__": __name__}, {})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("add: int = 0\n@command\ndef add(self): ...", "add is both a field and a command"),
        ("@command\nasync def add(self): ...", "cannot be async"),
        ("@query\nasync def get(self): yield 1", "cannot be async"),
        ("@command\ndef add(self): yield 1", "generator"),
        ("@command\ndef add(): ...", "self first"),
        ("@command\ndef add(*, n): ...", "self first"),
        ("@command\n@staticmethod\ndef add(n): ...", "plain method"),
        ("@query\n@property\ndef size(self): ...", "plain method"),
        ("@command\n@query\ndef add(self): ...", "plain method"),
        ("@command\ndef _add(self): ...", "underscore"),
        ("__slots__ = ('a',)", "__slots__"),
        ("notes = []", "notes is shared by all objects"),
        ("name: str", "name has no first value"),
        ("def __init__(self, n): ...", "without arguments"),
        ("@staticmethod\ndef command(state, arg): ...", r"static new\(\)"),
    ]
    + [(f"@command\ndef {name}(self): ...", "reserved") for name in sorted(RESERVED)],
)
def test_a_mistake_in_a_class_is_told_where_it_is_defined(body: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mistaken(body)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (", version=0", "version"),
        (", version='2'", "version"),
        (", version=True", "version"),
        (", codec='msgspec'", "codec"),
    ],
)
def test_a_mistake_in_a_class_keyword_is_told(keywords: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mistaken("pass", keywords)


def test_a_subclass_cannot_hide_a_command_behind_something_else() -> None:
    with pytest.raises(ConfigError, match="hides a command of Counter"):
        type("Wrong", (Counter,), {"add": 3})


# -- handles --------------------------------------------------------------------------------------


def test_a_handle_sends_commands_and_queries_to_its_group() -> None:
    caller = Direct(Counter)
    counter = bind(Counter, "visits", caller)
    assert counter.add(5) == 5
    assert counter.add(n=2) == 7
    assert counter.get() == 7
    assert caller.calls == [
        ("visits", "command", "add", None),
        ("visits", "command", "add", None),
        ("visits", "query", "get", None),
    ]


def test_a_handle_is_an_instance_of_its_data_class_and_knows_its_group() -> None:
    counter = bind(Counter, "visits", Direct(Counter))
    assert isinstance(counter, Counter)
    assert group_of(counter) == "visits"
    assert repr(counter) == "<handle of group 'visits', a Counter>"
    assert repr(counter.add) == "<command add of group 'visits'>"
    with pytest.raises(TypeError):
        group_of(Counter())


def test_a_handle_has_no_state() -> None:
    counter = bind(Counter, "visits", Direct(Counter))
    with pytest.raises(AttributeError, match="the state lives in the group; ask by a @fleet.query"):
        counter.value
    with pytest.raises(AttributeError, match="the state lives in the group; change it by a @fleet.command"):
        counter.value = 3
    with pytest.raises(AttributeError, match="neither a @fleet.command nor a @fleet.query"):
        counter.helper()


@pytest.mark.parametrize("send", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_handle_cannot_be_sent(send: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="send the group's name"):
        send(bind(Counter, "visits", Direct(Counter)))


def test_options_make_another_call_and_leave_the_first() -> None:
    caller = Direct(Counter)
    add = bind(Counter, "visits", caller).add
    add.options(timeout=1.5).options()(1)
    add(1)
    assert [timeout for *_, timeout in caller.calls] == [1.5, None]
    with pytest.raises(ConfigError, match="timeout"):
        add.options(timeout=0)


def test_a_call_raises_what_the_group_answered() -> None:
    counter = bind(Counter, "visits", Direct(Counter))
    with pytest.raises(Rejected) as refused:
        counter.add(-1)
    assert refused.value.value == "n must not be negative"
    with pytest.raises(BadArguments, match="unexpected keyword argument 'm'"):
        counter.add(m=1)  # type: ignore[call-arg]
    with pytest.raises(CommandFailed, match="TypeError"):
        counter.add("1")  # type: ignore[arg-type]


def test_an_argument_that_cannot_be_encoded_is_never_sent() -> None:
    caller = Direct(Counter)
    with pytest.raises(NotEncodable, match="argument 1"):
        bind(Counter, "visits", caller).add(threading.Lock())  # type: ignore[arg-type]
    assert caller.calls == []


def test_a_submitted_call_has_a_future_of_the_decoded_value() -> None:
    counter = bind(Counter, "visits", Direct(Counter))
    future = counter.add.submit(5)
    assert future.exception() is None
    assert future.result() == 5
    refused = counter.add.submit(-1)
    assert isinstance(refused.exception(), Rejected)
    with pytest.raises(Rejected):
        refused.result()


def test_a_submitted_call_can_be_awaited_for_a_time() -> None:
    reply: Reply[int] = Reply()
    with pytest.raises(TimeoutError):
        reply.result(0)
    with pytest.raises(TimeoutError):
        reply.exception(0)
    reply.settle(Failed(OutcomeUnknown("no answer")))
    assert isinstance(reply.exception(), OutcomeUnknown)
    with pytest.raises(OutcomeUnknown):
        reply.result()


def test_a_reply_is_decoded_once_and_by_who_asks() -> None:
    LOADED_BY.clear()
    reply: Reply[Watched] = Reply()
    loop = threading.Thread(target=reply.settle, args=(Succeeded(encode_ok(Watched())),), name="client loop")
    loop.start()
    loop.join()
    first = reply.result()
    assert reply.result() is first
    assert LOADED_BY == [threading.current_thread().name]


def test_aio_gives_the_value_or_the_error_to_asyncio() -> None:
    counter = bind(Counter, "visits", Direct(Counter))

    async def main() -> None:
        assert await counter.add.aio(5) == 5
        assert await counter.get.aio() == 5
        with pytest.raises(Rejected):
            await counter.add.aio(-1)

    asyncio.run(main())


def test_a_command_cannot_call_a_group() -> None:
    counter = bind(Counter, "visits", Direct(Counter))
    with executing(world()):
        with pytest.raises(WouldDeadlock):
            counter.add(1)
        with pytest.raises(ImpureCommand):
            counter.add.submit(1)


# -- ctx --------------------------------------------------------------------------------------------


def told() -> tuple[Any, ...]:
    return ctx.now, ctx.index, ctx.client, ctx.random.random(), ctx.random.random(), ctx.uuid()


def test_ctx_tells_every_member_the_same() -> None:
    with executing(world()):
        first = told()
    with executing(world()):
        second = told()
    assert first == second
    assert first[:3] == (1_700_000_000.5, 1, "c1")
    assert first[3] != first[4]
    assert first[5].version == 4


def test_a_test_may_lend_ctx_to_a_plain_instance() -> None:
    """As the error says that names it; it named something that users do not have."""

    class Stamped(Data):
        at: float = 0.0

        @command
        def stamp(self) -> str:
            self.at = ctx.now
            return f"{ctx.client} {ctx.index}"

    stamped = Stamped()
    with pytest.raises(ImpureCommand, match=r"in a test: `with fleet.testing.executing\(\):`"):
        stamped.stamp()
    with fleet.testing.executing(now=1.5, index=7, client="me"):
        assert stamped.stamp() == "me 7"
    assert stamped.at == 1.5


@pytest.mark.parametrize("other", [world(index=2), world(session=8), world(seq=4)])
def test_each_command_draws_other_random_numbers(other: Context) -> None:
    with executing(world()):
        first = ctx.random.random()
    with executing(other):
        assert ctx.random.random() != first


def test_ctx_random_is_what_its_documented_seed_gives_in_any_process() -> None:
    with executing(world()):
        assert ctx.random.random() == Random("1/7/3").random()


@pytest.mark.parametrize("name", ["now", "index", "client", "random", "uuid"])
def test_ctx_is_only_there_inside_a_command(name: str) -> None:
    with pytest.raises(ImpureCommand, match=f"ctx.{name} is only there while a command runs"):
        asked = getattr(ctx, name)
        asked()


def test_ctx_of_two_threads_are_apart() -> None:
    inside, done = threading.Event(), threading.Event()
    seen: list[FleetError] = []

    def outside() -> None:
        inside.wait()
        try:
            ctx.now
        except FleetError as error:
            seen.append(error)
        done.set()

    thread = threading.Thread(target=outside)
    thread.start()
    with executing(world()):
        inside.set()
        done.wait()
        assert ctx.index == 1
    thread.join()
    assert isinstance(seen[0], ImpureCommand)


def test_ctx_sent_by_value_is_the_one_of_the_receiver() -> None:
    assert pickle.loads(pickle.dumps(ctx)) is ctx


# -- the functional style ---------------------------------------------------------------------------


class Register(Data):
    """The shape of upstream's data modules."""

    @staticmethod
    def new() -> tuple[int, ...]:
        return ()

    @staticmethod
    def command(state: tuple[int, ...], arg: int) -> tuple[int, tuple[int, ...]]:
        return len(state), (*state, arg)

    @staticmethod
    def query(state: tuple[int, ...], arg: str) -> int:
        return sum(state) if arg == "sum" else len(state)


def test_a_functional_class_is_commanded_and_queried_by_one_argument() -> None:
    register: Any = bind(Register, "r", Direct(Register))
    assert register.command(5) == 0
    assert register.command(7) == 1
    assert register.query("sum") == 12
    with pytest.raises(BadArguments):
        register.command()


def test_a_functional_class_travels_by_value() -> None:
    class Local(Data):
        @staticmethod
        def new() -> int:
            return 1

        @staticmethod
        def command(state: int, arg: int) -> tuple[int, int]:
            return state + arg, state + arg

    arrived: Any = decode_class(encode_class(Local))
    assert arrived().command(4) == 5


def test_a_functional_class_runs_on_a_plain_instance_too() -> None:
    register: Any = Register()
    assert register.command(5) == 0
    assert register.state == (5,)
