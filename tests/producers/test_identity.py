"""Identities: different sources never share one, and no secret of a URL is part of one."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from producers.sources.identity import CRAWL_PATH, source_id
from producers.sources.source import Source
from producers.sources.urls import is_url, public_url, redact
from tests.examples import examples

PATH = "crawl-data/CC-MAIN-2016-50/segments/1480698540409.8/wet/CC-MAIN-1.warc.wet.gz"

STORES = ("s3://bucket/", "gs://bucket/", "abfs://container@account/", "memory://", "ftp://host/", "hdfs://name:9000/")
KEYS = st.one_of(
    st.text(st.sampled_from("ab1#?&=;%/:@*[]~ +\\\x1b\n\u202e\u00e9"), min_size=1, max_size=12),
    st.tuples(st.sampled_from(["part?token=", "x?X-Amz-Signature=", "y;sig=", "z?a=1&password="]), st.text()).map(
        "".join
    ),
    st.text(min_size=1, max_size=20),
)
SECRET = st.text(string.ascii_letters + string.digits, min_size=12, max_size=20).map(lambda text: f"Q{text}Q")
PARAMETERS = (
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Goog-Signature",
    "AWSAccessKeyId",
    "Signature",
    "token",
    "access_token",
    "accessToken",
    "auth_token",
    "sig",
    "password",
    "passwd",
    "pwd",
    "api_key",
    "apikey",
    "api-key",
    "secret",
    "client_secret",
    "jwt",
    "session_id",
    "Key-Pair-Id",
    "Policy",
    "%74oken",
    "access%5Ftoken",
    "hdnts",
    "authorization",
)


@pytest.mark.fuzz
@examples(100)
@given(st.sampled_from(STORES), KEYS, KEYS)
def test_different_keys_are_different_sources(store: str, one: str, other: str) -> None:
    assume(one != other and not CRAWL_PATH.search(one) and not CRAWL_PATH.search(other))
    assert source_id(store + one) != source_id(store + other)
    source_id(store + one).encode()


@pytest.mark.fuzz
@examples(100)
@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_different_files_are_different_sources(name: str) -> None:
    assume(name not in (".", ".."))
    assert source_id(f"/data/{name}") != source_id(f"/data/{name}.")
    assert source_id(f"/data/{name}").isascii()


@pytest.mark.fuzz
@examples(100)
@given(SECRET, st.sampled_from(PARAMETERS), st.sampled_from(["", "simplecache::", "filecache::", "zip://a.wet::"]))
def test_no_secret_of_a_url_is_shown_or_stored(secret: str, parameter: str, wrapper: str) -> None:
    for url in (
        f"https://me:{secret}@h.example/x.wet.gz",
        f"https://{secret}@h.example/x.wet.gz",
        f"http://me:{secret}@[::1]:8000/x.wet.gz",
        f"http://me:a/{secret}@h.example/x.wet.gz",
        f"s3://key:{secret}@bucket/x.wet.gz",
        f"s3://key:a/{secret}@bucket/x.wet.gz",
        f"ftp://me:{secret}@h.example/x.wet.gz",
        f"https://h.example/x.wet.gz?a=1&{parameter}={secret}&b=2",
        f"https://h.example/x.wet.gz?{parameter}={secret};b=2",
        f"s3://bucket/x.wet.gz?{parameter}={secret}",
        f"https://h.example/{PATH}?{parameter}={secret}",
        f"https://proxy.example/get/http://me:{secret}@h.example/x.wet.gz",
    ):
        source = Source(source_id(wrapper + url), wrapper + url)
        for shown in (source.id, source.name, source.uri, redact(f"cannot open '{wrapper}{url}': refused")):
            assert secret not in shown


def test_parts_of_an_identity() -> None:
    assert source_id("s3://bucket/part#1.wet") == "s3://bucket/part#1.wet"
    assert source_id("s3://bucket/part?1.wet") == "s3://bucket/part?1.wet"
    assert source_id("abfs://one@account/x.wet") != source_id("abfs://two@account/x.wet")
    assert source_id("https://a.example/x.wet?part=1") != source_id("https://a.example/x.wet?part=2")
    # A fragment never reaches a web server; a query does, so what it selects is not the file of the crawl path alone.
    assert source_id(f"https://a.example/{PATH}#top") == PATH
    assert source_id(f"https://a.example/{PATH}?part=2") == f"https://a.example/{PATH}?part=2"
    assert source_id(f"simplecache::https://a.example/{PATH}") == PATH
    assert source_id(f"zip://a.wet::s3://bucket/{PATH}") != source_id(f"zip://b.wet::s3://bucket/{PATH}")
    assert source_id(f"s3://bucket/my{PATH}") == f"s3://bucket/my{PATH}"
    assert source_id(f"s3://bucket/{PATH}\n") != PATH


def test_what_is_a_url() -> None:
    assert is_url("simplecache::https://a.example/x")
    assert is_url("zip://a.wet::/data/x.zip")
    assert not is_url("a::b.wet.gz")
    assert public_url("http://[::1]:8000/x") == "http://[::1]:8000/x"
    assert public_url("HTTPS://A.example:443/x?") == "https://a.example/x"


def test_symlink_loop_has_an_identity(tmp_path: Path) -> None:
    loop = tmp_path / "loop.wet.gz"
    loop.symlink_to(loop)
    assert source_id(loop).startswith("file:///")


@pytest.mark.parametrize("url", ["http://[", "http://a b/", "http://:0x/", "s3://", "http://h:port/x", "://"])
def test_malformed_url_has_an_identity(url: str) -> None:
    assert source_id(url)
