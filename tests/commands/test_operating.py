"""What operators build on: health and readiness, logs as JSON, exit codes."""

from __future__ import annotations

import io
import json
import logging
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conf.redaction import register_secret
from conf.settings import Settings, load_settings
from producers.report import Outcome, OutcomeState
from tests.examples import examples
from tests.harness import Command
from wetstream.cluster.health import Health, HealthError, health_server
from wetstream.commands.terminal import output
from wetstream.pipeline.events import Lag, MicroBatch, SourcesFound
from wetstream.servers.ports import choose_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(flags={"home": str(tmp_path), "health.port": choose_port()}, environ={})


def ask(settings: Settings, path: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{settings.health.port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_stream_is_ready_while_it_reports_micro_batches(settings: Settings) -> None:
    heard: list[object] = []
    with health_server(settings, heard.append, streaming=True) as on_event:
        assert ask(settings, "/health")[0] == 200 and ask(settings, "/other")[0] == 404
        assert ask(settings, "/ready") == (
            503,
            {"status": "unavailable", "pipeline": "main", "lag": None, "failed_sources": 0, "reason": "it is starting"},
        )
        on_event(SourcesFound({"a": 1}))
        assert ask(settings, "/ready")[0] == 503
        on_event(Lag(9))
        on_event(MicroBatch(rows=0, rows_per_s=0.0, lag=7))
        code, known = ask(settings, "/ready")
        assert code == 200 and known["lag"] == 9 and len(heard) == 3
        on_event(Lag(11))
        assert ask(settings, "/ready")[1]["lag"] == 11
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", settings.health.port), timeout=1):
        pass


def test_a_silent_stream_is_not_ready_and_a_resting_producer_is() -> None:
    stream = Health("main", streaming=True, silent_s=-1)
    stream.note(MicroBatch(1, 1.0, 0))
    ready, known = stream.report()
    assert not ready and "no micro-batch for 0 s" in known["reason"]
    producer = Health("main", streaming=False, silent_s=-1)
    producer.note(SourcesFound({}))
    producer.note(Outcome("a", OutcomeState.FAILED, "a cannot be read"))
    ready, known = producer.report()
    assert ready and known["failed_sources"] == 1


def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    with (
        socket.create_server(("127.0.0.1", settings.health.port)),
        pytest.raises(HealthError, match=rf"health\.port {settings.health.port} .* name a free one"),
        health_server(settings, lambda event: None, streaming=True),
    ):
        pass


def test_everything_on_stderr_is_json(tmp_path: Path) -> None:
    import os

    command = Command(
        {name: value for name, value in os.environ.items() if not name.startswith("WETSTREAM_")}
        | {"WETSTREAM_HOME": str(tmp_path), "WETSTREAM_REDIS_URL": "redis://:a-secret@127.0.0.1:1/0"}
    )
    done = command("stats", "--set", "log.format=json", code=1)
    (record,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert record["level"] == "ERROR" and record["logger"] == "wetstream.command" and record["timestamp"]
    assert "Redis" in record["message"] and not record["message"].startswith("error") and "a-secret" not in done.stderr
    assert "log.format" in command("stats", "--set", "log.format=xml", code=1).stderr


HOSTILE = [
    *("http://u:p@h/?token=x", "://", "a:b@c", "sig=", "password=", '"', "'", "\\", "\n", "\r\n", "\x1b[2J", "\u2028"),
    *("\ud800", " ", "&", "{", "}", "%s", 'hunter2"quoted\\canary'),
]


@pytest.mark.fuzz
@examples(200)
@given(text=st.lists(st.sampled_from(HOSTILE) | st.text(max_size=4)).map("".join))
def test_a_log_record_in_json_is_one_object_on_one_line_whatever_is_logged(text: str) -> None:
    """Masking a secret must neither break the JSON nor miss a secret that JSON escapes."""
    register_secret('hunter2"quoted\\canary')
    # (What `file` returns without one of its own is the sys.stderr of this moment, which a later test must not keep.)
    written, before = io.StringIO(), output.err._file
    output.err.file = written
    try:
        output.log_to_terminal("json", "info")
        logging.getLogger("wetstream").warning("%s", text)
    finally:
        output.err._file = before
        output.log_to_terminal()
    (line,) = written.getvalue().splitlines()
    assert set(json.loads(line)) == {"level", "logger", "message", "timestamp"}
    assert "hunter2" not in line and "\x1b" not in line
