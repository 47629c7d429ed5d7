"""The cluster, and the archive that its executors run from: made once."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.secured_servers import SecuredServers, secured_servers
from tests.cluster.standalone import Standalone, settings, standalone
from tests.harness import Command


@pytest.fixture(autouse=True)
def quiet_libraries() -> None:
    """Leave the log to the test and to wetstream."""
    for name in ("kafka", "py4j", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "wetstream.tar.gz"
    subprocess.run([sys.executable, "-m", "wetstream", "package", "-o", str(path)], check=True, timeout=240)
    return path


@pytest.fixture(scope="session")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables of a command whose executors find the archive unpacked on their machine."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return {"WETSTREAM_STREAM_ARCHIVE": "", "PYSPARK_PYTHON": str(folder / "bin" / "python")}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    with standalone(tmp_path_factory.mktemp("cluster"), workers=2) as running:
        yield running


@pytest.fixture
def on_cluster(wetstream: Command, cluster: Standalone, archive: Path) -> Command:
    """The command, with the cluster as its master."""
    return Command(wetstream.environment | settings(cluster, archive), timeout_s=900)


@pytest.fixture
def secured(on_cluster: Command, tmp_path: Path) -> Iterator[SecuredServers]:
    """Secured servers for the pipeline of `on_cluster`."""
    folder = tmp_path / "servers"
    folder.mkdir()
    with secured_servers(folder, on_cluster.environment["WETSTREAM_PIPELINE"]) as running:
        yield running


@pytest.fixture
def on_secured(on_cluster: Command, secured: SecuredServers) -> Command:
    """The command on the cluster and these servers, whose secrets are in the driver's environment and files only."""
    return Command(on_cluster.environment | secured.environment, on_cluster.timeout_s)
