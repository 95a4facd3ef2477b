import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.aside import Aside

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for what a shell starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests interrupt the processes that they start


# Tests start a thousand processes, each of which takes three times as long where nothing compiled is kept.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session")
def aside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aside]:
    aside = Aside(tmp_path_factory.mktemp("aside"))
    yield aside
    aside.close()
