"""A whole pipeline whose documents are in an object store: the same rows, digests and answers as in a folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from producers.sample.writer import write_sample
from serving.document_queries import DocumentQueries
from sinks.documents.compaction import compact
from tests.harness import Pipeline
from tests.object_stores import KEYS, client, keys, options
from tests.storage.lossy_proxy import lossy_proxy

Make = Callable[..., Pipeline]


def storage(endpoint: str) -> dict[str, str]:
    """The settings of [documents.storage], as `make_settings` takes them."""
    return {f"documents__storage__{name}": value for name, value in options(endpoint).items()}


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return write_sample(tmp_path / "second.warc.wet.gz", records=120, seed=2).path


@pytest.mark.slow
def test_documents_in_a_bucket_equal_those_in_a_folder(
    make_pipeline: Make, s3: str, bucket: str, sample: Path, second: Path
) -> None:
    local = make_pipeline(pipeline="in-a-folder")
    # With a slash at the end, as many write it: the same place.
    remote = make_pipeline(documents__path=f"{bucket}/pre/", documents__compact_every=2, **storage(s3))
    for pipeline in (local, remote):
        pipeline.ingest(sample)
        pipeline.stream()
        pipeline.ingest(second)
        pipeline.stream()
    both = local.verified().digest
    assert remote.verified().digest == both
    assert [path.name for path in (remote.settings.home / "documents").iterdir()] == ["in-a-folder"]
    prefix = f"pre/{remote.settings.pipeline}"
    assert f"{prefix}/live.json" in keys(s3, bucket.removeprefix("s3://"))

    documents = remote.documents
    assert documents.location.uri == f"{bucket}/{prefix}/g1"
    hosts = [DocumentQueries(lambda p=p: p.documents).hosts({})["hosts"] for p in (local, remote)]  # type: ignore[misc, typeddict-item]
    assert hosts[0] == hosts[1] and hosts[0]
    assert documents.row_count() == sum(batch.num_rows for batch in documents.scan())
    assert DeltaTable(documents.location.uri, storage_options=documents.location.storage_options).version() > 0

    done = compact(documents, target_bytes=64 << 20, compression_level=1)
    assert done.files_before > done.files_after
    assert documents.vacuum(0, dry_run=False)
    assert len(remote.documents.file_paths()) < done.files_before
    assert len([key for key in keys(s3, bucket.removeprefix("s3://")) if key.endswith(".parquet")]) == len(
        remote.documents.file_paths()
    )
    assert remote.verified().digest == both

    remote.replay(sample)
    assert remote.documents.location.name == "g2" and remote.verified().digest == both
    remote.forget_redis()
    remote.stream()
    assert remote.verified().digest == both
    for pipeline in (local, remote):
        pipeline.remove(second)
        pipeline.stream()
    assert remote.verified().digest == local.verified().digest != both


@pytest.mark.slow
@pytest.mark.timeout(570)
def test_a_stream_waits_for_a_store_that_is_away(
    make_pipeline: Make, s3: str, bucket: str, sample: Path, caplog: pytest.LogCaptureFixture
) -> None:
    right = make_pipeline(pipeline="never-away")
    right.ingest(sample)
    right.stream()
    with ExitStack() as away:
        url = away.enter_context(lossy_proxy(s3))
        pipeline = make_pipeline(documents__path=bucket, stream__max_records=100, **storage(url))
        pipeline.ingest(sample)
        begun = threading.Event()
        stream = pipeline.make_stream(lambda progress: begun.set())
        thread = threading.Thread(target=stream.run, kwargs={"once": True})
        thread.start()
        assert begun.wait(120)
    _wait_until(lambda: "dropped, restarting" in caplog.text or not thread.is_alive())
    assert thread.is_alive() and f"{bucket} does not answer" in caplog.text, caplog.text
    with lossy_proxy(s3, port=int(url.rpartition(":")[2])):
        thread.join(240)
        assert not thread.is_alive()
        assert pipeline.verified().digest == right.verified().digest


def _wait_until(condition: Callable[[], bool], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_secrets_are_not_in_the_bucket_nor_in_redis_nor_where_others_can_read(
    make_pipeline: Make, s3: str, bucket: str, sample: Path
) -> None:
    pipeline = make_pipeline(documents__path=bucket, stream__max_records=100, **storage(s3))
    pipeline.ingest(sample)
    spark_s = Path(str(pipeline.spark.sparkContext._temp_dir)).parent
    seen: set[Path] = set()
    open_to_others: list[Path] = []

    def look(progress: object) -> None:
        """Keys travel to the tasks in a file of Spark's; nobody else on this machine may read it."""
        for path in spark_s.rglob("*"):
            with suppress(OSError):
                if path.is_file() and any(secret.encode() in path.read_bytes() for secret in KEYS.values()):
                    seen.add(path)
                    if path.stat().st_mode & 0o077:
                        open_to_others.append(path)

    pipeline.stream(look)
    assert seen and not open_to_others
    name = bucket.removeprefix("s3://")
    objects: list[Any] = [client(s3).get_object(Bucket=name, Key=key)["Body"].read() for key in keys(s3, name)]
    objects += [pipeline.redis.dump(key) for key in pipeline.redis.scan_iter()]
    objects += [path.read_bytes() for path in pipeline.settings.home.rglob("*") if path.is_file()]
    assert len(objects) > 10
    for secret in KEYS.values():
        assert not [content[:80] for content in objects if content and secret.encode() in content]
