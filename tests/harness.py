"""A whole pipeline under test: in this process, or as the `wetstream` command in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from redis import Redis, RedisError

import wetstream
from conf.addresses import BootstrapServers
from conf.profiles import load_profile
from conf.settings import Settings, changed_settings, load_settings
from serving.queries import LiveStatistics, NoStatisticsError
from serving.verify.verify import Verification, verify
from sinks.documents.generations import Generations
from sinks.documents.table import Documents
from sinks.keys import live_key, pipeline_pattern
from sinks.redis_clients.clients import Patience, open_client
from streaming.connections import Connections
from streaming.query import BatchProgress
from streaming.query_run import Listeners
from streaming.stream import Stream
from wetstream.servers.embedded import endpoints


@dataclass
class Pipeline:
    """One pipeline in this process, by the public `Pipeline` as far as it goes."""

    settings: Settings
    bootstrap_servers: BootstrapServers
    redis: Redis
    spark: SparkSession
    profile: str = "p21"

    @property
    def public(self) -> wetstream.Pipeline:
        """The pipeline as users have it; what is here beside it is what only tests ask for."""
        return wetstream.Pipeline(settings=changed_settings(self.settings, {"profile": self.profile}))

    def ingest(self, *paths: Path, **options: Any) -> list[wetstream.Outcome]:
        return self.public.ingest(*paths, options=wetstream.IngestOptions(**options))

    def stream(self, on_batch: Callable[[wetstream.MicroBatch], None] = lambda batch: None) -> None:
        """To the end of the topic."""
        public = self.public
        public.on_event = lambda event: on_batch(event) if isinstance(event, wetstream.MicroBatch) else None
        public.stream(once=True)

    def make_stream(
        self,
        on_progress: Callable[[BatchProgress], None] = lambda progress: None,
        on_lag: Callable[[int], None] = lambda lag: None,
        on_reading: Callable[[int], None] = lambda records: None,
    ) -> Stream:
        connections = Connections(self.bootstrap_servers, self.redis, self.spark)
        profile = load_profile(self.profile)
        return Stream(self.settings, profile, connections, listeners=Listeners(on_progress, on_lag, on_reading))

    def replay(self, *files: Path, switch_over: bool = True) -> wetstream.ReplayResult:
        """From the files, where some are named, and from the topic."""
        result, live = self.public.replay(*files, switch=switch_over)
        assert result is not None and live <= switch_over
        return result

    def remove(self, *paths: Path) -> int:
        """Take out what these files brought."""
        return self.public.remove(*paths).records

    @property
    def documents(self) -> Documents:
        found = Generations.of(self.settings).open_live()
        assert found is not None
        return found.documents

    @property
    def live(self) -> LiveStatistics:
        return LiveStatistics(self.redis, self.settings.pipeline)

    def verified(self) -> Verification:
        """The verification, which must find nothing."""
        result = verify(self.redis, self.settings.pipeline, self.documents)
        assert result.ok, result.differences
        return result

    def wait_for_records(self, records: int, timeout_s: float = 120) -> None:
        """Wait until the live statistics count so many records."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            counted = self.redis.get(live_key(self.settings.pipeline)) is not None
            if counted and self.live.stats()["records"] == records:
                return
            time.sleep(0.2)
        raise AssertionError(f"{self.live.stats()['records']} records, not {records}")

    def live_prefix(self) -> bytes:
        """Which build of statistics is read."""
        prefix: Any = self.redis.get(live_key(self.settings.pipeline))
        return bytes(prefix)

    def forget_redis(self) -> None:
        for key in self.redis.scan_iter(pipeline_pattern(self.settings.pipeline)):
            self.redis.delete(key)


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """Settings by their dotted names, as environment variables."""
    return {f"WETSTREAM_{name.upper().replace('.', '_')}": value for name, value in settings.items()}


@dataclass
class Command:
    """The `wetstream` command in a process of its own, on the servers of the tests."""

    environment: dict[str, str]
    timeout_s: float = 240

    def __call__(
        self, *arguments: str | Path, code: int | None = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "wetstream", *map(str, arguments)],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=self.timeout_s,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        if code is not None:
            assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def counted(self) -> int:
        """Records in the live statistics; 0 also while Redis is away. Asked here, so that waiting costs nothing."""
        settings = load_settings(environ=self.environment)
        servers = settings.redis_servers or endpoints(settings.home).redis_servers
        if servers is None:
            return 0
        try:
            with open_client(servers, settings.pipeline, Patience(answer_s=2, connect_s=1, retries=0)) as client:
                return int(LiveStatistics(client, settings.pipeline).stats()["records"])
        except (RedisError, NoStatisticsError):
            return 0

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """The command in the background, as the leader of a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "wetstream", *map(str, arguments)],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def read_until(process: subprocess.Popen[str], text: str, timeout_s: float = 120) -> None:
        """Read what a process from `start` prints, up to the line with this text."""
        assert process.stdout is not None
        timer = threading.Timer(timeout_s, process.kill)
        timer.start()
        seen = []
        try:
            for line in process.stdout:
                seen.append(line)
                if text in line:
                    return
        finally:
            timer.cancel()
        raise AssertionError(f"it did not print {text!r}:\n{''.join(seen)}")

    def json(self, *arguments: str | Path, **environment: str) -> Any:
        return json.loads(self(*arguments, "--json", **environment).stdout)
