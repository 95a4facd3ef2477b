"""A job queue that says what its jobs are."""

from concurrent.futures import Future
from typing import Any, NamedTuple, assert_type

import pytest

import fleet
import fleet.testing
from fleet.errors import BadArguments
from fleet.recipes import JobQueue


class Email(NamedTuple):
    to: str


class Emails(JobQueue[Email]):
    pass


@pytest.mark.parametrize("data_class", [JobQueue[Email], Emails])
def test_a_queue_may_say_what_its_jobs_are(data_class: Any) -> None:
    sim = fleet.testing.Sim(seed=3)
    emails = sim.group("emails", data_class)
    assert emails.put(Email("ada")) == 1 and emails.put_many([Email("ida")]) == [2]
    with pytest.raises(BadArguments, match=r"\.put: payload must be .*Email, not 'ada' \(str\)"):
        emails.put("ada")
    with pytest.raises(BadArguments, match=r"\.put_many: payloads\[0\] must be .*Email, not 5"):
        emails.put_many([5])


def for_the_type_checker(emails: JobQueue[Email], of_any: JobQueue) -> None:
    @fleet.worker(emails)
    def send(email: Email) -> int:
        return 1

    @fleet.worker(emails)  # type: ignore[arg-type]
    def of_another_type(number: int) -> None: ...

    assert_type(send(Email("ada")), int)
    assert_type(emails.put.submit(Email("ada")), Future[int])
    emails.put("ada")  # type: ignore[arg-type]
    of_any.put("ada")
