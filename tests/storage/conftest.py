from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sinks.storage.folder import Folder
from sinks.storage.locate import locate
from sinks.storage.location import Location
from tests.object_stores import give_keys, make_bucket, options, s3_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URL of an S3 server."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket; its keys are in the environment."""
    give_keys(monkeypatch)
    return make_bucket(s3, f"bucket-{next(_numbers)}")


MakeLocation = Callable[[], Location]


@pytest.fixture(params=["folder", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty place, of each kind."""
    if request.param == "folder":
        return Folder(tmp_path / "documents")
    bucket: str = request.getfixturevalue("bucket")
    return locate(f"{bucket}/some/documents", options(request.getfixturevalue("s3")))
