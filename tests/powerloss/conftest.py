import shutil
from pathlib import Path

import pytest

from .journal import build_library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc to build the library with")
    return build_library(tmp_path_factory.mktemp("library"))
