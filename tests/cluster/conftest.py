"""The cluster, and the archive that its executors run from: made once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.standalone import Standalone, settings, standalone
from tests.harness import Command
from tests.object_stores import KEYS, make_bucket, s3_server


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "wetstream.tar.gz"
    subprocess.run([sys.executable, "-m", "wetstream", "package", "-o", str(path)], check=True, timeout=240)
    return path


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    with standalone(tmp_path_factory.mktemp("cluster"), workers=2) as running:
        yield running


@pytest.fixture
def on_cluster(wetstream: Command, cluster: Standalone, archive: Path) -> Command:
    """The command, with the cluster as its master."""
    return Command(wetstream.environment | settings(cluster, archive), timeout_s=900)


@pytest.fixture
def on_cluster_and_s3(on_cluster: Command) -> Iterator[Command]:
    """The same with its documents in a bucket, whose keys are in the driver's environment only."""
    with s3_server() as endpoint:
        server = {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
        documents = {"WETSTREAM_DOCUMENTS_PATH": f"{make_bucket(endpoint, 'cluster')}/documents"}
        yield Command(on_cluster.environment | documents | KEYS | server, on_cluster.timeout_s)
