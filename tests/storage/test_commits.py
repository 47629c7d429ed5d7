"""Commits and pointers where two write at once, or the server's answer is lost on the way."""

from __future__ import annotations

import threading
import urllib.request
from pathlib import Path

import pytest

from conf.settings import SettingsError, load_settings
from sinks.documents.errors import DocumentsError, FencedError
from sinks.documents.generations import Generations, Pointer
from sinks.documents.table import Documents
from sinks.storage.errors import UnavailableError
from sinks.storage.folder import Folder
from sinks.storage.locate import documents_location, locate
from sinks.storage.location import Location
from tests.object_stores import KEYS, options
from tests.storage.documents import RULES, bound, commit
from tests.storage.lossy_proxy import lossy_proxy
from wetstream.doctor import check_documents


def test_of_two_writers_of_one_snapshot_exactly_one_commits(location: Location) -> None:
    first = bound(location)
    writers = [Documents.open(first.location) for _ in range(4)]
    won: list[int] = []
    barrier = threading.Barrier(len(writers))

    def write(number: int) -> None:
        barrier.wait()
        try:
            commit(writers[number], 0)
            won.append(number)
        except FencedError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(writers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert Documents.open(first.location).row_count() == 1


def test_a_switch_that_rests_on_an_older_pointer_is_refused(location: Location) -> None:
    bound(location)
    generations = Generations(location, "main")
    seen = generations.pointer()
    generations.create_next(RULES)
    generations.create_next(RULES)
    generations.point_to("g2", seen)
    with pytest.raises(FencedError, match=r"another process has changed .*live\.json"):
        generations.point_to("g3", seen)
    with pytest.raises(FencedError):
        generations.point_to("g3", Pointer())
    assert generations.live() == "g2"


@pytest.mark.parametrize("what", ["live.json", "_delta_log/00000000000000000002.json", ".parquet"])
def test_a_write_whose_answer_was_lost_counts_once(what: str, s3: str, bucket: str, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    with lossy_proxy(s3, lose=what, flag=lost) as url:
        documents = bound(locate(f"{bucket}/d", options(url)))
        commit(documents, 0)
        assert lost.exists()
        commit(documents, 1)
        again = Documents.open(documents.location)
        assert again.position() == {"id/0": 2} and sum(batch.num_rows for batch in again.scan()) == 2


def test_a_server_that_ignores_conditions_is_refused(s3: str, bucket: str) -> None:
    """Servers older than conditional writes take the header and overwrite."""
    with lossy_proxy(s3, drop="if-match,if-none-match") as url:
        documents = bound(locate(f"{bucket}/d", options(url)))
        with pytest.raises(DocumentsError, match=r"s3://bucket-\d+ takes writes whose condition .*conditional writes"):
            documents.check_writable()


def test_what_is_wrong_with_a_bucket_is_said_in_one_sentence(
    s3: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(url: str = bucket, **changed: str) -> str:
        with pytest.raises((DocumentsError, UnavailableError)) as found:
            Generations(locate(f"{url}/d", options(s3) | changed), "main").open_or_create(RULES)
        text = str(found.value)
        assert "\n" not in text and "canary" not in text and len(text) < 400, text
        return text

    assert "there is no s3://absent: create it" in refusal("s3://absent")
    assert check_documents(locate(f"{bucket}/d", options(s3))).ok
    assert "there is no s3://absent: create it" in check_documents(locate("s3://absent/d", options(s3))).detail
    assert f"{bucket} is asked without encryption: set documents.storage.allow_http" in refusal(allow_http="false")
    assert f"documents.storage holds nonsense, which {bucket} does not know" in refusal(nonsense="1")
    assert refusal(endpoint="http://127.0.0.1:1") == f"{bucket} does not answer (no connection)"
    documents = bound(locate(f"{bucket}/other", options(s3)))
    _check_keys_of_requests(s3, True)
    try:
        refused = f"{bucket} refuses these credentials (InvalidAccessKeyId): set AWS_ACCESS_KEY_ID"
        assert refused in refusal()
        with pytest.raises(OSError, match=r"refuses these credentials"):
            Documents.open(documents.location)
        with pytest.raises(OSError, match=r"refuses these credentials"):
            documents.set_property("x", "y")
    finally:
        _check_keys_of_requests(s3, False)
    for name in KEYS:
        monkeypatch.delenv(name)
    # Here the machine's role would be asked for: at an address that nobody answers at.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    assert f"no credentials were found for {bucket}: set AWS_ACCESS_KEY_ID" in refusal()


def _check_keys_of_requests(endpoint: str, check: bool) -> None:
    """Whether the server refuses keys that it does not know."""
    data = b"0" if check else b"inf"
    url = f"{endpoint}/moto-api/reset-auth"
    urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "text/plain"}, method="POST")).read()


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("s3a://bucket//a/b/", "s3://bucket/a/b"),
        ("S3://bucket/", "s3://bucket"),
        ("gs://bucket/a", "gs://bucket/a"),
        ("abfss://documents@account.dfs.core.windows.net/a/", "abfss://documents@account.dfs.core.windows.net/a"),
        ("file:///data/a%20b/", "/data/a b"),
        ("file://localhost/data", "/data"),
    ],
)
def test_each_place_has_one_spelling(given: str, place: str) -> None:
    settings = load_settings(flags={"documents.path": given}, environ={})
    assert settings.documents_path == place
    assert documents_location(settings).uri == place
    assert isinstance(documents_location(settings), Folder) == place.startswith("/")


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({"documents.path": "hdfs://name:9000/x"}, r"hdfs:// cannot hold documents.*conditional writes.*s3://"),
        ({"documents.path": "https://host/x"}, r"https:// cannot hold documents.*no writes"),
        ({"documents.path": "ftp://host/x"}, r"ftp:// cannot hold documents.*not supported: write s3://BUCKET"),
        ({"documents.path": "file://host/x"}, r"is no URL of a folder of this machine"),
        ({"documents.path": "s3:///x"}, r"names no bucket"),
        ({"documents.path": "s3://me:word@bucket/x"}, r"a password, which belong in the environment"),
        ({"documents.path": "s3://bucket/a/../b"}, r"choose another prefix"),
        ({"documents.path": "s3://bucket/a?x=1"}, r"choose another prefix"),
        ({"documents.storage.aws_secret_access_key": "x"}, r"holds a secret.*environment"),
        ({"documents.storage.account_key": "x"}, r"holds a secret.*environment"),
        ({"documents.storage.aws_s3_allow_unsafe_rename": "true"}, r"overwrite each other's commits"),
        ({"documents.storage.conditional_put": "disabled"}, r"overwrite each other's commits"),
        ({"documents.storage.regoin": "x"}, r"regoin is no option of an object store: did you mean region\?"),
        ({"documents.storage.aws_bucket": "x"}, r"is part of documents.path"),
        ({"documents.storage.allow_http": "yes"}, r"must be true or false"),
        ({"documents.storage.timeout": "120"}, r"with its unit, such as 120s"),
        ({"documents.storage.endpoint": "host:9000"}, r"https://host:port"),
        ({"documents.storage.endpoint": "http://me:word@host:9000"}, r"must not hold a user or a password"),
    ],
)
def test_a_place_that_cannot_be_used_safely_is_refused_with_the_remedy(flags: dict[str, str], why: str) -> None:
    with pytest.raises(SettingsError, match=why) as found:
        load_settings(flags=flags, environ={})
    assert "word" not in str(found.value).replace("a password", "")


def test_a_table_is_the_same_by_each_spelling_of_its_place(s3: str, bucket: str, tmp_path: Path) -> None:
    flags = {f"documents.storage.{name}": value for name, value in options(s3).items()}
    for one, other in ((f"{bucket}/d", f"s3a{bucket[2:]}//d/"), (str(tmp_path / "d"), f"file://{tmp_path}/d/")):
        first, second = (
            Generations.of(load_settings(flags=flags | {"documents.path": path}, environ={})) for path in (one, other)
        )
        made = first.open_or_create(RULES).documents
        found = second.open_or_create(RULES).documents
        assert (made.table_id, made.location) == (found.table_id, found.location)
