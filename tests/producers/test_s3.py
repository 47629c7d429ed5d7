"""S3 sources against a real S3 server on loopback (moto): signed, anonymous, listed, broken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from conf.settings import Settings, SettingsError
from producers.ingest import Ingester
from producers.report import Outcome
from producers.sources.discover import SourceNotFoundError, discover
from producers.sources.source import Source
from producers.topic.topics import ensure_topics
from tests.producers.topic import read_topic
from tests.producers.wet_forms import wet_file

MakeSettings = Callable[..., Settings]
PATH = "crawl-data/CC-MAIN-2016-50/segments/1.1/wet/one.warc.wet.gz"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="crawl")
    client.put_object(Bucket="crawl", Key=PATH, Body=wet_file("gzip").data, ACL="public-read")
    client.put_object(Bucket="crawl", Key="other/two.wet.gz", Body=wet_file("single", seed=2).data)
    client.put_object(Bucket="crawl", Key="other/two.txt", Body=b"text")
    return "s3://crawl"


def ingest(settings: Settings, source: Source) -> Outcome:
    topics = ensure_topics(settings, settings.bootstrap_servers)
    ingester = Ingester(settings, settings.bootstrap_servers, topics)
    try:
        return ingester.ingest(source)
    finally:
        ingester.close()


def test_signed_and_anonymous_objects_and_folders(bucket: str, endpoint: str, make_settings: MakeSettings) -> None:
    settings = make_settings(producer__s3_endpoint=endpoint)
    sources = discover([f"{bucket}/"], settings=settings.producer)
    assert [source.id for source in sources] == [PATH, "s3://crawl/other/two.wet.gz"]
    assert [ingest(settings, source).state for source in sources] == ["done", "done"]
    found = read_topic(settings)
    assert found[PATH].raws == wet_file("gzip").records
    assert found["s3://crawl/other/two.wet.gz"].raws == wet_file("single", seed=2).records
    globbed = discover([f"{bucket}/other/*.wet.gz"], settings=settings.producer)
    assert [source.location for source in globbed] == ["s3://crawl/other/two.wet.gz"]
    anonymous = make_settings(producer__s3_endpoint=endpoint, producer__s3_anonymous=True, pipeline="anonymous-s3")
    (source,) = discover([f"{bucket}/{PATH}"], settings=anonymous.producer)
    assert ingest(anonymous, source).state == "done"
    (private,) = discover([f"{bucket}/other/two.wet.gz"], settings=anonymous.producer)
    refused = ingest(anonymous, private)
    assert refused.state == "failed"
    assert "two.wet.gz cannot be read: its size: PermissionError" in refused.message


def test_missing_requirements_are_named(
    bucket: str, endpoint: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(producer__s3_endpoint=endpoint)
    gone = ingest(settings, Source("x", f"{bucket}/gone.wet.gz"))
    assert gone.state == "failed"
    assert "s3://crawl/gone.wet.gz cannot be read: its size: it does not exist" in gone.message
    with pytest.raises(SourceNotFoundError, match="no WET files"):
        discover([f"{bucket}/nothing/"], settings=settings.producer)
    with pytest.raises(SettingsError, match=r"producer\.s3_endpoint"):
        make_settings(producer__s3_endpoint="localhost:9000")
