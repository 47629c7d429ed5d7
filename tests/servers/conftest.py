"""State directories whose servers are ended, whatever a test does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.processes import end_everything_below, quiet
from wetstream.servers import embedded
from wetstream.servers.embedded import Endpoints
from wetstream.servers.java.jars import Jars, default_cache, obtain_jars
from wetstream.servers.java.runtime import Java, find_java


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    end_everything_below(tmp_path)


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Endpoints]]:
    """A state directory with both servers up, for tests that leave them as they are."""
    home = tmp_path_factory.mktemp("both")
    try:
        yield home, embedded.up(home, log=quiet)
    finally:
        end_everything_below(home)


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> Java:
    return find_java(tmp_path_factory.mktemp("java"))


@pytest.fixture(scope="session")
def jars(java: Java) -> Jars:
    return obtain_jars(default_cache(), java)
