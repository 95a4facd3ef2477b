"""Clusters for the tests of their commands."""

import pytest

from tests.cluster.cluster_run import Run


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def three(run: Run) -> Run:
    run.join("n1", "n2", "n3")
    return run
