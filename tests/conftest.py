from collections.abc import Iterator

import pytest

from tests.support.aside import Aside


@pytest.fixture(scope="session")
def aside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aside]:
    aside = Aside(tmp_path_factory.mktemp("aside"))
    yield aside
    aside.close()
