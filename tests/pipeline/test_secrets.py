"""Secrets stay secret: many commands and failures with canaries in their place, then everything is searched."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from redis import Redis

from producers.sample.writer import write_sample
from tests.command_lines import watched_processes
from tests.harness import Command
from tests.producers.http_server import serve
from tests.servers.processes import outside_redis
from wetstream.servers import embedded, state

CANARIES = [f"canary-{name}-8c1f" for name in ("redis", "url", "sig", "token", "kafka", "spark", "file")]
REDIS, URL, SIGNATURE, TOKEN, KAFKA, SPARK, FILE = CANARIES


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    embedded.down(tmp_path / "home", log=lambda line: None)


@pytest.fixture
def canary_redis(tmp_path: Path) -> Iterator[str]:
    user = ("--user", "me", "on", f">{FILE}", "~*", "&*", "+@all")
    with outside_redis(tmp_path / "redis", "--requirepass", REDIS, "--maxmemory-policy", "noeviction", *user) as url:
        yield url.replace("redis://", f"redis://:{REDIS}@")


@pytest.fixture
def own(wetstream: Command, home: Path, canary_redis: str, tmp_path: Path) -> Command:
    """The command with an embedded broker, and secrets in its environment and in a file."""
    (tmp_path / "password").write_text(FILE)
    (tmp_path / "wrong").write_text(f"{FILE}-wrong")
    kept = {name: value for name, value in wetstream.environment.items() if "KAFKA" not in name}
    return Command(
        kept
        | {
            "WETSTREAM_HOME": str(home),
            "WETSTREAM_REDIS_URL": canary_redis,
            "WETSTREAM_REDIS_CLIENT_USERNAME": "me",
            "WETSTREAM_REDIS_CLIENT_PASSWORD_FILE": str(tmp_path / "password"),
            "WETSTREAM_SERVE_TOKEN": TOKEN,
            "WETSTREAM_KAFKA_CLIENT_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "WETSTREAM_KAFKA_CLIENT_USERNAME": "me",
            "WETSTREAM_KAFKA_CLIENT_PASSWORD": KAFKA,
            "WETSTREAM_PRODUCER_SOURCE_RETRY_S": "1",
            "WETSTREAM_PRODUCER_RETRY_S": "1",
        }
    )


@pytest.mark.timeout(570)
@pytest.mark.slow
def test_no_written_file_holds_a_secret(own: Command, home: Path, tmp_path: Path, canary_redis: str) -> None:
    write_sample(tmp_path / "web" / "s.warc.wet.gz", records=30)
    said: list[str] = []

    def run(*arguments: str | Path, **environment: str) -> int:
        command = [sys.executable, "-m", "wetstream", *map(str, arguments)]
        done = subprocess.run(command, env=own.environment | environment, capture_output=True, text=True, timeout=240)
        said.append(f"$ {arguments[0]}\n{done.stdout}\n{done.stderr}")
        return done.returncode

    with serve(tmp_path / "web") as server, watched_processes() as command_lines:
        url = server.url.replace("://", f"://me:{URL}@")
        signed = f"{url}/s.warc.wet.gz?X-Amz-Signature={SIGNATURE}"
        config = tmp_path / "spark.toml"
        config.write_text(f'[spark]\n"spark.hadoop.fs.s3a.secret.key" = "{SPARK}"\n')
        assert run("run", signed, "--profile", "p21", "--config", config) == 0, said
        for command in (
            ("status",),
            ("doctor",),
            ("segments", "--json"),
            ("documents", "history", "--json"),
            ("ingest", "--dry-run", signed),
        ):
            run(*command)
        _fail(run, url)
        away = canary_redis.rpartition(":")[0] + ":1/0"
        for command in (("stats",), ("doctor",), ("status", "--json"), ("run", signed)):
            run(*command, WETSTREAM_REDIS_URL=away, WETSTREAM_DEBUG="1")
        for command in (("stats",), ("doctor",)):
            run(*command, WETSTREAM_REDIS_CLIENT_PASSWORD_FILE=str(tmp_path / "wrong"))
        by_url = {"WETSTREAM_REDIS_CLIENT_USERNAME": "", "WETSTREAM_REDIS_CLIENT_PASSWORD_FILE": ""}
        assert run("stats", **by_url) == 0, said
        run("stats", **by_url | {"WETSTREAM_REDIS_URL": canary_redis.replace(REDIS, f"{REDIS}-wrong")})
        for broker in ("127.0.0.1:1", str(embedded.endpoints(home).bootstrap_servers)):
            run("ingest", signed, WETSTREAM_KAFKA_BOOTSTRAP_SERVERS=broker, WETSTREAM_DEBUG="1")
            run("doctor", WETSTREAM_KAFKA_BOOTSTRAP_SERVERS=broker)

    passwords = [(home / name / "password").read_text() for name in state.NAMES if (home / name / "password").exists()]
    assert passwords
    _assert_absent("\n".join(said), "what was printed", passwords)
    _assert_absent("\n".join(command_lines), "command lines", passwords)
    assert any("kafka.Kafka" in line for line in command_lines) and any("spark" in line for line in command_lines)
    for path in home.rglob("*"):
        if path.is_file() and path.name not in ("password", "server.properties", "secrets.properties"):
            _assert_absent(path.read_bytes().decode("latin-1"), str(path), passwords)
    with Redis.from_url(canary_redis) as client:
        for key in client.scan_iter():
            _assert_absent(client.dump(key).decode("latin-1") + key.decode(), str(key), passwords)
    _assert_absent(_topics(home), "topics", passwords)


def _fail(run: Callable[..., int], url: str) -> None:
    """Failures that have shown secrets before, or could."""
    missing = f"{url}/missing.warc.wet.gz"
    run(
        "ingest",
        f"{missing}?token={SIGNATURE}",
        f"simplecache::{missing}",
        f"http://me:{URL}@127.0.0.1:1/s.warc.wet.gz",
    )
    run("ingest", f"https://me:{URL}/x@host/s.warc.wet.gz")
    run("remove", missing)
    for name, value in (
        ("redis.url", f"localhost:{REDIS}"),
        ("serve.token", f"{TOKEN} x"),
        ("kafka.bootstrap_servers", f"SASL_SSL://me:{KAFKA}@h:9092"),
    ):
        run("stats", WETSTREAM_DEBUG="1", **{f"WETSTREAM_{name.upper().replace('.', '_')}": value})
        run("status", "--set", f"{name}={value}")


def _assert_absent(text: str, where: str, passwords: list[str]) -> None:
    for secret in (*CANARIES, *passwords):
        at = text.find(secret)
        assert at < 0, f"{where}: …{text[max(0, at - 200) : at + 60]}…"


def _topics(home: Path) -> str:
    """Everything in all topics, as text."""
    servers = embedded.endpoints(home).bootstrap_servers
    assert servers
    text = ""
    with closing(KafkaConsumer(**servers.client_options())) as consumer:
        names = [name for name in consumer.topics() if not name.startswith("__")]
        partitions = [TopicPartition(name, n) for name in names for n in consumer.partitions_for_topic(name) or ()]
        assert partitions
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends, deadline = consumer.end_offsets(partitions), time.monotonic() + 60
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            assert time.monotonic() < deadline
            for messages in consumer.poll(timeout_ms=200).values():
                text += "".join(f"{message.key!r}{message.value!r}{message.headers!r}" for message in messages)
    assert text
    return text
