"""The HTTP API over real connections: what it answers, what it refuses, and what it outlives."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from redis import Redis

from conf.addresses import RedisServers
from conf.settings import ServeSettings
from serving.api.server import ServeError, Server, check_access
from serving.document_queries import DocumentQueries
from serving.queries import LiveStatistics
from sinks.documents.table import Documents
from tests.serving.pipelines import Made, Running
from wetstream.servers import embedded

BAGS = [{"alpha": 3, "beta": 1}, {"alpha": 1, "gamma": 2}, {"alpha": 2, "beta": 2}]
Serve = Callable[..., Running]


def test_http_answers_equal_the_python_interface(made: Made, serve: Serve) -> None:
    made.add(*BAGS, rejected=2)
    made.stream_runs(lag=7)
    server = serve()
    server.wait_for("/api/v1/stats", lambda stats: stats["as_of"]["lag"] == 7)
    live = made.live
    assert server.get("/api/v1/stats?min_df=2&max_df=0.9") == live.stats(type(live.stats.__defaults__[0])(2, 0.9))
    assert server.get("/api/v1/words/top?limit=2") == live.top(2)
    assert server.get("/api/v1/words/alpha") == live.word("alpha")
    assert server.get("/api/v1/words?word=alpha&word=no") == live.words(["alpha", "no"])
    assert server.get("/api/v1/lengths") == live.lengths()
    assert server.get("/api/v1/rejected") == live.rejected()
    assert server.get("/api/v1/languages")["languages"] == live.pages_by("languages")["languages"]
    assert server.get("/api/v1/growth")["points"][-1]["words"] == 3
    found = server.wait_for("/api/v1/words/search?prefix=a", lambda answer: answer["total"] == 1)
    assert found["words"][0]["word"] == "alpha" and found["settled"]


def test_an_etag_holds_until_the_numbers_move(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    server = serve()
    first = server.http.get("/api/v1/words/top")
    etag = first.headers["etag"]
    again = server.http.get("/api/v1/words/top", headers={"If-None-Match": f'W/{etag}, "x"'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    # A snapshot moves no number.
    server.wait_for("/api/v1/words/bottom", lambda answer: True)
    copied = server.poller.snapshot
    assert copied is not None
    deadline = time.monotonic() + 20
    while server.poller.state.snapshot_taken != copied.taken:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for path, first in {path: server.http.get(f"/api/v1/{path}") for path in ("stats", "words/top", "tlds")}.items():
        same = server.http.get(f"/api/v1/{path}", headers={"If-None-Match": first.headers["etag"]})
        assert same.status_code == 304
    assert server.http.get("/api/v1/words/top").headers["etag"] == etag
    made.add({"alpha": 100})
    deadline = time.monotonic() + 5
    while (moved := server.http.get("/api/v1/words/top", headers={"If-None-Match": etag})).status_code == 304:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert moved.json()["words"][0]["tf"] == 106 and moved.headers["etag"] != etag


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("stats?min_df=0", 422, "min_df"),
        ("stats?max_df=nan", 422, "max_df"),
        ("stats?max_df=1.5", 422, "max_df"),
        ("stats?mindf=2", 422, "did you mean min_df"),
        ("stats?min_df=1&min_df=2", 422, "more than once"),
        ("words/top?limit=5000", 422, "limit"),
        ("words/top?by=size", 422, "by"),
        ("words", 422, "word"),
        ("words/" + "x" * 300, 422, "word"),
        ("words?" + "&".join(["word=a"] * 101), 422, "word"),
        ("urls", 422, "of"),
        ("nothing", 404, "openapi.json"),
    ],
)
def test_problems_are_reported(made: Made, serve: Serve, path: str, status: int, words: str) -> None:
    made.add(*BAGS)
    problem = serve().get(f"/api/v1/{path}", status)
    assert words in problem["message"]


def test_answers_are_not_delayed(made: Made, serve: Serve) -> None:
    """With Nagle's algorithm each answer waits 40 ms for the client's delayed acknowledgement. asyncio switches it off
    on sockets that name their protocol, and accepted ones have that of the listening one."""
    settings = made.settings.serve.model_copy(update={"port": 0})
    for host in ("127.0.0.1", "::1"):
        with Server(FastAPI(), settings.model_copy(update={"host": host})).listen() as listening:
            assert listening.proto == socket.IPPROTO_TCP
            # The address may be told now.
            socket.create_connection((host, listening.getsockname()[1]), timeout=5).close()


def test_only_get_is_allowed_and_headers_are_safe(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    server = serve()
    refused = server.http.post("/api/v1/stats", json={})
    assert refused.status_code == 405 and "GET" in refused.headers["allow"]
    page = server.http.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"] and "server" not in page.headers
    assert "access-control-allow-origin" not in server.http.get("/", headers={"Origin": "http://a.example"}).headers
    assert server.http.get("/page/../api/app.py").status_code == 404
    assert server.http.get("/page/%2e%2e/api/app.py").status_code == 404


def test_empty_statistics_are_not_a_server_error(made: Made, serve: Serve) -> None:
    server = serve()
    assert "wetstream run" in server.get("/api/v1/stats", 404)["message"]
    assert server.get("/health") == {"status": "ok", "reason": None}
    assert "wetstream run" in server.get("/ready", 503)["reason"]
    made.add(*BAGS)
    assert server.wait_for("/ready", lambda answer: answer["status"] == "ready")


def test_another_host_name_is_refused_without_a_token(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    server = serve()
    assert "Host" in server.get("/api/v1/stats", 400, headers={"Host": "evil.example"})["message"]
    assert server.get("/api/v1/stats", headers={"Host": "localhost:1"})


def test_token_is_required_for_data_and_on_reachable_addresses(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    server = serve(token="0123456789abcdef")
    assert server.get("/api/v1/stats")["documents"] == 3
    for wrong in ("", "Bearer", "Bearer 0123456789abcdeX", "Basic 0123456789abcdef"):
        for path in ("/api/v1/stats", "/api/v1/events", "/metrics", "/api/v1/openapi.json"):
            assert server.http.get(path, headers={"Authorization": wrong}).status_code == 401
        for path in ("/", "/page/main.js", "/health", "/ready"):
            assert server.http.get(path, headers={"Authorization": wrong}).status_code == 200
    base: ServeSettings = made.settings.serve
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(ServeError, match="WETSTREAM_SERVE_TOKEN"):
            check_access(base.model_copy(update={"host": host}))
        check_access(base.model_copy(update={"host": host, "token": SecretStr("0123456789abcdef")}))
    for host in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        check_access(base.model_copy(update={"host": host}))


def test_events_report_every_change(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    server = serve()
    with server.http.stream("GET", "/api/v1/events") as stream:
        events = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
        assert next(events)["stats"]["documents"] == 3
        made.add({"alpha": 1})
        assert next(event for event in events if event["stats"]["documents"] == 4)
        made.stream_runs(lag=3)
        assert next(event for event in events if event["stream"]["streaming"])["stream"]["lag"] == 3


def test_ranking_is_prefetched_while_it_is_in_demand(made: Made, serve: Serve) -> None:
    def add_one() -> None:
        made.add({"beta": 9})
        server.wait_for("/api/v1/stats", lambda stats: stats["documents"] == len(made.bags))

    made.add(*BAGS)
    server = serve()
    add_one()
    assert server.poller.state.top_words is None
    for _ in range(20):  # the look that brings it along may have been one for another reason
        server.get("/api/v1/words/top")
        add_one()
        if server.poller.state.top_words is not None:
            break
    assert server.poller.state.top_words is not None
    answer = server.get("/api/v1/words/top")
    assert {row["word"]: (row["tf"], row["df"]) for row in answer["words"]} == made.words()
    assert answer["as_of"]["positions"] == {"t/0": len(made.bags)}
    add_one()
    add_one()
    assert server.poller.state.top_words is None


def test_redis_outage_is_reported_and_recovered_from(made: Made, serve: Serve, tmp_path: Path) -> None:
    settings = embedded.up(tmp_path, kafka=False, redis=True, log=lambda line: None)

    def find() -> RedisServers:
        found = embedded.endpoints(tmp_path).redis_servers
        if found is None:
            raise ConnectionError("no Redis runs")
        return found

    try:
        assert settings.redis_url is not None
        made.client = Redis.from_url(settings.redis_url.get_secret_value())
        made.add(*BAGS)
        server = serve(find)
        assert server.get("/api/v1/stats")["documents"] == 3
        with server.http.stream("GET", "/api/v1/events") as stream:
            events = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
            embedded.down(tmp_path, lambda line: None)
            assert next(event for event in events if event["away"])
            for path in ("stats", "words/top", "words/alpha", "words/search", "hosts"):
                assert "Redis" in server.get(f"/api/v1/{path}", 503)["message"]
            assert server.http.get("/api/v1/stats").headers["retry-after"] == "1"
            assert server.get("/health")["status"] == "ok"
            assert "Redis" in server.get("/ready", 503)["reason"]
            assert re.search(r"wetstream_redis_up\{.*\} 0\.0", server.http.get("/metrics").text)
            embedded.up(tmp_path, kafka=False, redis=True, log=lambda line: None)
            assert next(event for event in events if not event["away"])
        assert server.wait_for("/api/v1/stats", lambda stats: stats["documents"] == 3)
        assert server.get("/api/v1/words/alpha")["tf"] == 6
    finally:
        embedded.down(tmp_path, lambda line: None)


def test_incomplete_requests_are_closed_and_block_nobody(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    server = serve(request_timeout_s=1)
    halves = [
        b"",
        b"GET /api/v1/stats HTT",
        b"GET /api/v1/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET / HT",
        b"POST /api/v1/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\nx",
    ]
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    try:
        for number, one in enumerate(sockets):
            one.sendall(halves[number % len(halves)])
        assert server.get("/api/v1/stats")["documents"] == 3
        for one in sockets:
            one.settimeout(20)
            while one.recv(65536):
                pass
    finally:
        for one in sockets:
            one.close()


def test_excess_connections_are_rejected_until_there_is_room(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    server = serve(request_timeout_s=60, max_connections=16)
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(16)]
    deadline = time.monotonic() + 20
    while server.http.get("/health").status_code != 503:
        assert time.monotonic() < deadline, "more connections than are allowed"
        time.sleep(0.02)
    for one in sockets:
        one.close()
    assert server.wait_for("/health", lambda answer: answer["status"] == "ok")


def test_slowly_dripping_request_is_closed_at_its_timeout(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    server = serve(request_timeout_s=1)
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /api/v1/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        slow.settimeout(0.05)
        for _ in range(400):
            try:
                slow.sendall(b"x")
                if slow.recv(100) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    raise AssertionError("a client that sends a byte now and then holds its connection for ever")


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /api/v1/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 200_000,
        b"GET /" + b"x" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(20_000)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),  # TLS, spoken to plain HTTP
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"\x00\r\n\r\n",
    ],
    ids=["huge header", "huge address", "many headers", "TLS", "negative length", "nothing of HTTP"],
)
def test_malformed_requests_are_refused_without_affecting_others(made: Made, serve: Serve, request_text: bytes) -> None:
    made.add(*BAGS)
    server = serve()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as one:
        try:
            one.sendall(request_text)
            answer = b"".join(iter(lambda: one.recv(65536), b""))
        except ConnectionError:
            answer = b""  # closed while we were still sending
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    assert server.get("/api/v1/stats")["documents"] == 3


def test_client_that_never_reads_delays_nobody_else(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    server = serve()
    lazy = socket.create_connection(("127.0.0.1", server.port))
    lazy.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    try:
        for _ in range(20):
            made.add({"alpha": 1})
        server.wait_for("/api/v1/stats", lambda stats: stats["documents"] == 23)
    finally:
        lazy.close()


def test_hosts_and_urls_come_from_the_documents_table(made: Made, serve: Serve, tmp_path: Path) -> None:
    from tests.serving.documents import table_of  # beside this file

    made.add(*BAGS)
    documents: Documents = table_of(
        tmp_path, ["http://a.example/1", "https://A.example:8/2", "http://b.example/", None]
    )
    server = serve(table=DocumentQueries(lambda: documents))
    hosts = server.get("/api/v1/hosts")["hosts"]
    assert [(row["host"], row["pages"]) for row in hosts] == [("a.example", 2), ("b.example", 1)]
    assert server.get("/api/v1/hosts?contains=B.")["hosts"][0]["host"] == "b.example"
    assert len(server.get("/api/v1/urls?of=a.example")["urls"]) == 2
    python = LiveStatistics(made.client, made.pipeline, DocumentQueries(lambda: documents))
    assert server.get("/api/v1/hosts") == python.hosts()
    assert server.get("/api/v1/urls?of=a.example") == python.urls("a.example")
    assert python.hosts()["as_of"]["positions"] == documents.position()
    (one,) = server.get("/api/v1/urls", params={"of": "http://b.example/"})["urls"]
    assert (one["reason"], one["tokens"]) == (None, 3)


def test_metrics_follow_the_stream(made: Made, serve: Serve) -> None:
    from sinks.observations import ENDS_EVERY_S, BatchMetrics, Observer

    made.add(*BAGS, rejected=2)
    observer = Observer(made.client, made.pipeline)
    observer.begin(made.keys, "g")
    observer.progress(0, rows=5, rows_per_s=10, lag=5, seconds={"addBatch": 0.5})
    assert made.live.batches()["batches"] == []  # Redis is still at it
    observer.committed(0, BatchMetrics(5, 3, 50, 4, 1, 900, 0.1, 0.2))
    observer.alive()
    assert len(made.live.batches()["batches"]) == 1
    observer.committed(1, BatchMetrics(9, 3, 50, 4, 1, 900, 0.1, 0.2))  # its report is lost
    observer.committed(2, BatchMetrics(5, 3, 50, 4, 1, 900, 0.1, 0.2))
    observer.progress(2, rows=5, rows_per_s=10, lag=0, seconds={"addBatch": 0.5})
    time.sleep(ENDS_EVERY_S)
    observer.alive({"t/0": made.at + 7})
    server = serve()
    text = server.http.get("/metrics").text
    mine = f'pipeline="{made.pipeline}"'
    for line in (
        f"wetstream_documents_total{{{mine}}} 3.0",
        f'wetstream_rejected_records_total{{{mine},reason="not_language"}} 2.0',
        f'wetstream_lag_offsets{{partition="0",{mine}}} 7.0',
        f"wetstream_stream_up{{{mine}}} 1.0",
        f"wetstream_micro_batches_total{{{mine}}} 2.0",
        f'wetstream_micro_batch_phase_seconds_total{{phase="redis",{mine}}} 0.4',
        f'wetstream_last_micro_batch_phase_seconds{{phase="addBatch",{mine}}} 0.5',
    ):
        assert line in text, line
    assert all(mine in line for line in text.splitlines() if not line.startswith("#"))
    batches = server.get("/api/v1/batches")["batches"]
    assert [batch["lag"] for batch in batches] == [0, 5] and batches[0]["words"] == 4
    assert [point["tokens"] for point in made.live.growth()["points"]] == [11]
    # The lag is that of the numbers shown with it: it shrinks with them, whatever the stream says or does not say.
    made.add(*BAGS)
    assert server.wait_for("/api/v1/stats", lambda stats: stats["documents"] == 6)["as_of"]["lag"] == 4
    observer.gone()
    server.wait_for("/api/v1/stats", lambda stats: not stats["as_of"]["streaming"])


def test_lost_observations_change_nothing(made: Made) -> None:
    from sinks.observations import BATCHES_KEPT, BatchMetrics, Observer

    made.add(*BAGS)
    before = made.live.stats()
    gone = Observer(Redis(port=1, socket_connect_timeout=0.1, retry=None), made.pipeline)
    gone.begin(made.keys, "g")
    gone.alive()
    gone.committed(0, BatchMetrics(1, 1, 1, 1, 1, 1, 0.1, 0.1))
    gone.progress(0, rows=1, rows_per_s=1, lag=0, seconds={})
    gone.gone()
    assert made.live.stats() == before and made.live.batches()["batches"] == []
    observer = Observer(made.client, made.pipeline)
    for number in range(BATCHES_KEPT + 5):
        observer.committed(number, BatchMetrics(1, 1, 1, 1, 1, 1, 0.1, 0.1))
        observer.progress(number, rows=1, rows_per_s=1, lag=0, seconds={})
    assert len(made.live.batches(1000)["batches"]) == BATCHES_KEPT


def test_server_stops_at_once_despite_listening_clients(made: Made, serve: Serve) -> None:
    made.add(*BAGS)
    server = serve()
    started = threading.Event()

    def listen() -> None:
        with server.http.stream("GET", "/api/v1/events") as stream:
            for _ in stream.iter_lines():
                started.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert started.wait(5)  # the fixture now ends the server, and fails when that takes too long
