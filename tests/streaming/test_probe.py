"""What an executor lacks is named, with the remedy, before the first micro-batch."""

from __future__ import annotations

import pickle
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sinks.storage.folder import Folder
from streaming.probe import Needs, find_problem, task

TOKEN = ".wetstream-probe-x"


@pytest.fixture
def needs(tmp_path: Path) -> Needs:
    (tmp_path / TOKEN).touch()
    return Needs(pickle.dumps(Folder(tmp_path)), TOKEN, (), (), 0.0)


def examine(needs: Needs) -> dict[str, Any]:
    (report,) = task(needs)([])
    return report


def test_an_executor_like_the_driver_lacks_nothing_and_leaves_nothing(needs: Needs) -> None:
    report = examine(needs)
    assert find_problem(report, report) is None and report["kernel"] and report["versions"]["pyarrow"]
    assert [path.name for path in Path(pickle.loads(needs.table)).iterdir()] == [TOKEN]


def test_documents_that_are_not_shared_are_named(needs: Needs, tmp_path: Path) -> None:
    here = examine(needs)
    absent = examine(replace(needs, table=pickle.dumps(Folder(tmp_path / "none"))))
    assert "does not have the folder" in str(find_problem(here, absent))
    other = tmp_path / "other"
    other.mkdir()
    assert "is not the driver's" in str(find_problem(here, examine(replace(needs, table=pickle.dumps(Folder(other))))))
    # A file that is there, in a folder where nobody can create one.
    closed = examine(replace(needs, table=pickle.dumps(Folder(Path("/proc"))), token="version"))
    assert "cannot write and delete files in /proc" in str(find_problem(here, closed))


def test_brokers_that_only_the_driver_reaches_are_named(needs: Needs, tmp_path: Path) -> None:
    here = examine(needs)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert find_problem(here, examine(replace(needs, brokers=(address,)))) is None
    problem = str(find_problem(here, examine(replace(needs, brokers=(address,)))))
    assert f"reaches no broker of kafka.bootstrap_servers: {address} (Connection refused)" in problem
    unreadable = examine(replace(needs, files=(str(tmp_path / "ca.pem"),)))
    assert "ca.pem, which Kafka's client needs" in str(find_problem(here, unreadable))


def test_other_versions_and_other_code_are_named(needs: Needs) -> None:
    here = examine(needs)
    older = here | {"versions": here["versions"] | {"pyarrow": "20.0.0"}}
    assert "it has pyarrow 20.0.0, and the driver" in str(find_problem(here, older))
    assert "not the same code" in str(find_problem(here, here | {"code": "0"}))
    assert "no module numba" in str(find_problem(here, here | {"missing": "its Python has no module numba"}))
