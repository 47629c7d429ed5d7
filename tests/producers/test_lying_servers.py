"""HTTP servers that lie: each answer gives the right bytes or one clear error, in bounded time and memory."""

from __future__ import annotations

import itertools
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.settings import ProducerSettings, load_settings
from producers import http_client
from producers.sources import remote, retry, web
from producers.sources.discover import discover
from producers.sources.listing import ListingError
from producers.sources.opening import open_location
from producers.sources.retry import _retry_after_s
from tests.examples import examples

DATA = b"WARC/1.0\r\n" + bytes(range(256)) * 400
Answer = Iterator[bytes]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(remote, "FIRST_BYTES", 1 << 16)


def options(**flags: object) -> ProducerSettings:
    defaults = {"producer.source_timeout_s": 1, "producer.source_retry_s": 1}
    return load_settings(flags=defaults | flags, environ={}).producer


@contextmanager
def answering(answer: Callable[[bytes, int, int], Answer]) -> Iterator[str]:
    """A server whose answer to a request for bytes from `begin` to `end` is exactly these bytes, then the end."""

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(1 << 16)
                asked = request.partition(b"bytes=")[2].split(b"\r\n")[0].split(b"-")
                begin, end = (int(asked[0]), int(asked[1]) + 1) if len(asked) == 2 else (0, len(DATA))
                for part in answer(request, begin, end):
                    connection.sendall(part)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
            except OSError:
                pass

    def accept() -> None:
        for _ in itertools.count():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/it.wet"
        listening.shutdown(socket.SHUT_RDWR)


def partial(begin: int, end: int, content_range: str = "", headers: str = "", data: bytes | None = None) -> bytes:
    """A 206 with the bytes that were asked for, unless it says something else."""
    end = min(end, len(DATA))
    body = DATA[begin:end] if data is None else data
    length = "" if "Content-Length" in headers or "chunked" in headers else f"Content-Length: {len(body)}\r\n"
    named = content_range or f"bytes {begin}-{end - 1}/{len(DATA)}"
    return f"HTTP/1.1 206 Partial Content\r\nContent-Range: {named}\r\n{length}{headers}\r\n".encode() + body


def read(url: str, **flags: object) -> bytes:
    with open_location(url, options(**flags)) as file:
        return b"".join(iter(lambda: file.read(1 << 16), b""))


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ("Content-Range: bytes 0-9/nine", "no byte ranges|does not tell its size"),
        ("Content-Range: bytes -5-9/10", "no byte ranges|does not tell its size"),
        ("Content-Range: bytes 5-9/10", "does not tell its size"),
        ("Content-Range: bytes 0-65535/*", "does not tell its size"),
        (f"Content-Range: bytes 0-65535/{'9' * 5000}", "no byte ranges|does not tell its size"),
        ("Content-Range: bytes 0-65535/999999999999999999", "."),
        ("Content-Range: bytes 9-2/100000", "does not tell its size"),
        ("Content-Range: bytes 0-0/-1", "no byte ranges|does not tell its size"),
        ("Content-Range: lines 0-9/10", "no byte ranges|does not tell its size"),
        ("X: y", "no byte ranges|does not tell its size"),
        ("Content-Range: bytes 0-99/102410\r\nContent-Length: -5", "no valid HTTP"),
        ("Content-Range: bytes 0-99/102410\r\nContent-Length: 7\r\nContent-Length: 8", "no valid HTTP"),
        (f"Content-Range: bytes 0-99/102410\r\nContent-Length: {'9' * 400}", "no valid HTTP|broke off"),
        ("Content-Range: bytes 0-99/102410\r\nTransfer-Encoding: chunked", "no valid HTTP|broke off"),
        ("Content-Range: bytes 0-99/102410\r\n no: header\r\n\0: x", "no valid HTTP"),
    ],
)
def test_nonsense_in_the_headers_of_a_range_is_one_clear_error(headers: str, told: str) -> None:
    def answer(request: bytes, begin: int, end: int) -> Answer:
        yield f"HTTP/1.1 206 Partial Content\r\n{headers}\r\n\r\n".encode() + b"x" * 65536

    began = time.monotonic()
    with answering(answer) as url, pytest.raises(OSError, match=told):
        read(url)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "then",
    [
        "bytes 0-9/102410",  # another range
        "bytes 65530-102409/102410",
        "bytes 65536-99999999/102410",  # longer than was asked for
        f"bytes 65536-102409/{len(DATA) + 1}",  # of another file
    ],
)
def test_another_range_than_was_asked_for_is_never_taken(then: str) -> None:
    def answer(request: bytes, begin: int, end: int) -> Answer:
        yield partial(begin, end, then if begin else "")

    with answering(answer) as url, pytest.raises(OSError, match=r"gave bytes|has changed|no byte ranges|came"):
        read(url)


@pytest.mark.parametrize("body", [b"", DATA[65536:90000], DATA[65536:] + b"more", DATA[65536:] * 40])
def test_a_body_of_another_length_is_refused_or_cut_at_the_right_place(body: bytes) -> None:
    def answer(request: bytes, begin: int, end: int) -> Answer:
        chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n" if body else b"0\r\n\r\n"
        yield (
            partial(begin, end, headers="Transfer-Encoding: chunked\r\n", data=chunked)
            if begin
            else partial(begin, end)
        )

    with answering(answer) as url:
        try:
            assert read(url) == DATA
        except OSError as error:
            assert "came" in str(error)


@pytest.mark.parametrize(
    "status", ["200 OK", "206 Partial Content", "416 Range Not Satisfiable", "503 Busy", "404 Not Found"]
)
def test_an_endless_body_costs_neither_time_nor_memory(status: str) -> None:
    def answer(request: bytes, begin: int, end: int) -> Answer:
        yield f'HTTP/1.1 {status}\r\nContent-Range: bytes 0-65535/102410\r\nETag: W/"{begin}"\r\n'.encode()
        yield b"Transfer-Encoding: chunked\r\n\r\n"
        while True:
            yield b"10000\r\n" + bytes(65536) + b"\r\n"

    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with answering(answer) as url, pytest.raises(OSError, match=r"\w"):
        read(url)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB
    assert time.monotonic() - began < 60


def test_another_weak_tag_with_an_endless_beginning() -> None:
    """The beginning is read again to compare it, but no further."""
    tags = itertools.count()

    def answer(request: bytes, begin: int, end: int) -> Answer:
        number = next(tags)
        tag = f'ETag: W/"{min(number, 1)}"\r\n'
        if number < 2 or begin:
            yield partial(begin, end, headers=tag)
            return
        yield partial(begin, end, headers=f"{tag}Transfer-Encoding: chunked\r\n", data=b"")
        while True:
            yield b"10000\r\n" + DATA[:65536] + b"\r\n"

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with answering(answer) as url:
        assert read(url) == DATA
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB


@pytest.mark.parametrize("drip", ["head", "body", "chunks"])
def test_a_server_that_drips_is_a_silent_one(drip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: bytes, begin: int, end: int) -> Answer:
        if drip != "head":
            yield b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-65535/102410\r\n"
            yield b"Content-Length: 65536\r\n\r\n" if drip == "body" else b"Transfer-Encoding: chunked\r\n\r\n"
        while True:
            yield b"1\r\nx\r\n" if drip == "chunks" else b"x"
            time.sleep(0.1)

    began = time.monotonic()
    with answering(answer) as url, pytest.raises(OSError, match="no answer in time"):
        read(url)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("kind", ["one line", "many lines", "informational"])
def test_headers_without_end_are_broken_off(kind: str) -> None:
    def answer(request: bytes, begin: int, end: int) -> Answer:
        yield b"" if kind == "informational" else b"HTTP/1.1 200 OK\r\nX: "
        filler = {
            "one line": b"x" * 1000,
            "many lines": b"y\r\nX: y",
            "informational": b"HTTP/1.1 100 Continue\r\n\r\n",
        }
        while True:
            yield filler[kind] * 50

    began = time.monotonic()
    with answering(answer) as url, pytest.raises(OSError, match="no valid HTTP"):
        read(url)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("file:///etc/passwd", "no http or https URL"),
        ("ftp://127.0.0.1/x", "no http or https URL"),
        ("gopher://x/", "no http or https URL"),
        ("http://[", "."),
        ("http://:0/", "."),
        ("http://h:99999/", "."),
        ("//", "."),
    ],
)
def test_redirects_to_what_is_no_web_server(target: str, told: str) -> None:
    def answer(request: bytes, begin: int, end: int) -> Answer:
        yield f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()

    with answering(answer) as url, pytest.raises(OSError, match=told):
        read(url)


@pytest.mark.parametrize(
    ("url", "target", "told"),
    [
        ("https://data.example.org/a", "http://data.example.org/a", "from https to http"),
        ("http://data.example.org/a", "http://169.254.169.254/latest", "inside this network"),
        ("http://data.example.org/a", "http://localhost:8080/", "inside this network"),
        ("http://data.example.org/a", "http://printer/", "inside this network"),
        ("http://data.example.org/a", "http://[::1]/", "inside this network"),
        ("http://8.8.8.8/a", "http://10.0.0.1/", "inside this network"),
        ("http://data.example.org/a", "https://other.example.org/", ""),
        ("http://10.0.0.2/a", "http://10.0.0.1/", ""),
    ],
)
def test_redirects_into_the_own_network_or_out_of_tls(url: str, target: str, told: str) -> None:
    file = web.WebObject(url, 1)
    if not told:
        file._check_redirect(target)
        return
    with pytest.raises(OSError, match=told):
        file._check_redirect(target)
    if "inside" in told:
        web.WebObject(url, 1, allow_internal=True)._check_redirect(target)


@pytest.mark.parametrize("after", ["9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "99999999999999999999"])
def test_retry_after_of_years_gives_up_at_once(after: str) -> None:
    def answer(request: bytes, begin: int, end: int) -> Answer:
        yield f"HTTP/1.1 503 Busy\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n".encode()

    began = time.monotonic()
    with answering(answer) as url, pytest.raises(OSError, match="answers 503"):
        read(url)
    assert time.monotonic() - began < 20


DATES = st.from_regex(r"\A(Mon, )?[0-9]{1,30} (Jan|Foo) [0-9]{1,20} [0-9:]{0,12} ([+-][0-9]{1,12}|GMT)\Z")


@pytest.mark.fuzz
@examples(200)
@given(text=st.text(max_size=30) | DATES)
def test_any_retry_after_is_seconds_or_nothing(text: str) -> None:
    seconds = _retry_after_s({"Retry-After": text})
    assert 0 <= seconds < float("inf")


def test_a_gzip_bomb_as_content_encoding_is_not_decoded(tmp_path: Path) -> None:
    def answer(request: bytes, begin: int, end: int) -> Answer:
        yield partial(begin, end, headers="Content-Encoding: gzip\r\n")

    with answering(answer) as url:
        assert read(url) == DATA


def test_a_listing_of_nothing_but_lines_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b"a.wet.gz\n" + b"b\n" * 2_000_000

    def answer(request: bytes, begin: int, end: int) -> Answer:
        end = min(end, len(lines))
        yield f"HTTP/1.1 206 P\r\nContent-Range: bytes {begin}-{end - 1}/{len(lines)}\r\n".encode()
        yield f"Content-Length: {end - begin}\r\n\r\n".encode() + lines[begin:end]

    with answering(answer) as url, pytest.raises(ListingError, match="more than 1,000,000 lines"):
        list(discover([url.replace("it.wet", "wet.paths")], settings=options()))


def test_an_honest_server_is_not_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is judged by the time that we wait for the server, not by the time between two reads."""
    monkeypatch.setattr(http_client, "SLOWEST_BYTES_PER_S", 100_000)

    def answer(request: bytes, begin: int, end: int) -> Answer:
        yield f"HTTP/1.1 200 OK\r\nContent-Length: {len(DATA)}\r\n\r\n".encode() + DATA

    with answering(answer) as url, open_location(url, options()) as file:
        got = b""
        while part := file.read(40_000):
            got += part
            time.sleep(0.8)
    assert got == DATA
    assert isinstance(http_client.web_client(1.0), httpx.Client)
