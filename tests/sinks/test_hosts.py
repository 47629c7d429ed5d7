"""Hosts and top-level domains of URLs, honest and hostile."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.verify.recount import recount
from sinks.documents.hosts import MAX_HOST_BYTES, host_of, hosts_of, tld_of
from sinks.documents.parquet_files import ParquetFiles
from sinks.documents.schema import DOCUMENTS
from sinks.statistics.derive import derive
from tests.examples import examples
from tests.sinks.batches import row

KNOWN = [
    ("http://example.org/x", "example.org", "org"),
    ("https://EXAMPLE.co.UK:8080/?q#f", "example.co.uk", "uk"),
    ("http://user:p@ss@example.com/", "example.com", "com"),
    ("http://example.com./", "example.com", "com"),
    ("http://example.com../", None, "unknown"),
    ("http://example..com/", None, "unknown"),
    ("http://./", None, "unknown"),
    ("http://user@/", None, "unknown"),
    ("http://1.2.3.4./robots.txt", "1.2.3.4", "address"),
    ("http://0x7f.1/", "127.0.0.1", "address"),
    ("http://1.2.3.4.5/", None, "unknown"),
    ("http://a.b.c.1/", None, "unknown"),
    ("http://[2001:DB8::1]:80/", "[2001:db8::1]", "address"),
    ("http://[::ffff:1.2.3.4]/", "[::ffff:102:304]", "address"),
    ("http://[1::2]x/", None, "unknown"),
    ("http://m\u00fcnchen.de/", "xn--mnchen-3ya.de", "de"),
    ("http://\u65e5\u672c\u8a9e\u3002jp/", "xn--wgv71a119e.jp", "jp"),
    ("http://under_score.example/", "under_score.example", "example"),
    ("http://example.com\\@evil.org/", "example.com", "com"),
    ("http://ex ample.com/", None, "unknown"),
    ("http://example.com:99999/", None, "unknown"),
    (f"http://{'a' * 63}.org/", f"{'a' * 63}.org", "org"),
    (f"http://{'a' * 64}.org/", None, "unknown"),
    (f"http://{'a.' * 126}org/", None, "unknown"),
    ("ftp://files.example.net/", "files.example.net", "net"),
    ("dns:example.com", None, "unknown"),
    ("odd://Example.COM/", None, "unknown"),
    ("example.com/page", None, "unknown"),
    ("", None, "unknown"),
    (None, None, "unknown"),
]
LABELS = st.one_of(
    st.sampled_from(
        ["a", "com", "COM", "1", "0x7f", "256", "-", "xn--", "xn--a", "\u00fc", "\u0130", "\u3002", "", "_", "\u200d"]
    ),
    st.text(alphabet="a1-_%.:@[]/?#\\ \t\u00df\u0661\u0300\U0001f600", max_size=6),
    st.integers(60, 66).map(lambda n: "b" * n),
    st.text(max_size=4),
)
URLS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "HTTP:", "ftp://", "http:\\\\", "odd://", "", " http://", "dns:"]),
    st.sampled_from(["", "user@", "u:p@", "@", "a@b@", "[", "[::1]", "[::1"]),
    st.one_of(st.lists(LABELS, min_size=1, max_size=5).map(".".join), st.ip_addresses(v=4).map(str)),
    st.sampled_from(["", ".", "..", ":", ":80", ":99999", ":x", "]"]),
    st.sampled_from(["", "/", "/p?q=http://x.org/", "?q", "#f", "\\", "/\n"]),
)


@pytest.mark.parametrize(("url", "host", "tld"), KNOWN)
def test_known_urls(url: str | None, host: str | None, tld: str) -> None:
    assert host_of(url) == host
    assert tld_of(pa.chunked_array([hosts_of([url])])).to_pylist() == [tld]


@pytest.mark.fuzz
@examples(100)
@given(URLS)
def test_hosts_are_valid_dns_names_or_ip_addresses(url: str) -> None:
    host = host_of(url)
    if host is None:
        return
    assert host.isascii()
    assert host == host.lower()
    assert len(host) <= MAX_HOST_BYTES
    assert host_of(f"http://{host}/") == host, "a normalised host stays as it is"
    if not host.startswith("["):
        assert all(0 < len(label) <= 63 for label in host.split("."))


@pytest.mark.fuzz
@examples(30)  # a DuckDB for each example
@given(st.lists(URLS, min_size=1, max_size=30))
def test_the_sink_and_verify_count_the_same_domains(urls: list[str]) -> None:
    rows = [row(number, {"word": 1}) | {"url": url, "host": host_of(url)} for number, url in enumerate(urls)]
    batch = pa.RecordBatch.from_pylist(rows, schema=DOCUMENTS)
    sums = derive([batch])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.parquet"
        pq.write_table(pa.Table.from_batches([batch]), file)
        counted = recount(ParquetFiles.at([file])).counts["tlds"]
    assert {f"pages\t{tld}": seen.pages for tld, seen in sums.tlds.items()} == {
        field: n for field, n in counted.items() if field.startswith("pages\t")
    }
