"""How long a user waits for the first numbers of a backfill, and whether the lag on the page is true.

    python -m bench.live.first_numbers [--mb 1200] [--files 40] [--home FOLDER]

running stream   from the first record that a reader of the topic sees to the first answer of the API that counts some,
                 while `wetstream stream` waits on an empty topic and `wetstream ingest` sends all files
run              from the start of `wetstream run FILES` to that answer: with the servers up, and from nothing, when
                 it has to start Kafka and Redis first
lag              each second, the API's `lag` beside the ends of the topic, read just before and just after, minus the
                 positions of the same answer; wrong is what lies outside of the two, as a share of the larger one.
                 The stream asks the broker for the ends twice a second, so a step of the topic is seen that much later;
                 beside it, what is wrong even if the ends may be those of a second before
speed            records by the seconds from the first one in the topic (or the start of the command) to the last one
                 that is counted

All commands are processes of their own, as a user starts them. The sample is made first and kept; the servers' folder
is made anew. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench import report
from bench.corpus import HOME, sample_files
from conf.settings import Settings, load_settings
from producers.topic.offsets import end_offsets
from producers.topic.topics import Topic, TopicError, describe_topic
from sinks.documents.log import partition_key
from wetstream.pipeline.connections import find_kafka
from wetstream.servers import embedded

POLL_S = 0.05
LAG_EVERY_S = 1.0
IDLE_S = 5.0  # a stream on an empty topic has everything ready well before
PATIENCE_S = 1800.0
TOLERANCE = 0.05
LEAST_OFFSETS = 1_000  # a lag of fewer is no basis for a share
STREAM_LAG = "streaming"


@dataclass
class Measured:
    """One backfill; all times in seconds."""

    what: str
    first_s: float = float("nan")
    whole_s: float = float("nan")
    records: int = 0
    lag_errors: list[float] = field(default_factory=list)
    late_errors: list[float] = field(default_factory=list)
    worst: str = ""

    @property
    def row(self) -> dict[str, Any]:
        errors = sorted(self.lag_errors)
        return {
            "backfill": self.what,
            "first numbers, s": self.first_s,
            "whole, s": self.whole_s,
            "records": self.records,
            "records/s": self.records / self.whole_s,
            "lags compared": len(errors),
            "lag wrong by at most": f"{errors[-1]:.1%}" if errors else "-",
            "by over 5 %": sum(error > TOLERANCE for error in errors),
            "a second late allowed": f"{max(self.late_errors):.1%}" if self.late_errors else "-",
            "where": self.worst or "-",
        }


class Watcher:
    """Asks the API of one pipeline and the broker while a backfill runs."""

    def __init__(self, settings: Settings, url: str, measured: Measured) -> None:
        self._settings = settings
        self._http = httpx.Client(base_url=url, timeout=30)
        self._measured = measured
        self._topic: Topic | None = None
        self.first_record_at: float | None = None
        self.first_numbers_at: float | None = None
        self._stop = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the topic and the lag in threads while inside."""
        threads = [threading.Thread(target=work) for work in (self._watch_topic, self._watch_lag)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def records(self) -> int:
        """Records that the API counts; 0 while it has no numbers."""
        answer = self._http.get("/api/v1/stats")
        return int(answer.json()["records"]) if answer.status_code == 200 else 0

    def wait_for(self, records: int) -> float:
        """Wait until so many are counted, and note when the first ones are; return the time."""
        deadline = time.monotonic() + PATIENCE_S
        while (counted := self.records()) < records:
            if counted and self.first_numbers_at is None:
                self.first_numbers_at = time.monotonic()
            if time.monotonic() > deadline:
                raise SystemExit(f"{counted} of {records} records after {PATIENCE_S:.0f} s")
            time.sleep(POLL_S)
        now = time.monotonic()
        self.first_numbers_at = self.first_numbers_at or now
        return now

    def _ends(self) -> dict[str, int]:
        servers = find_kafka(self._settings)
        if servers is None:
            return {}
        if self._topic is None:
            self._topic = describe_topic(self._settings, servers, self._settings.records_topic)
        if self._topic is None:
            return {}
        return {partition_key(self._topic.id, part): end for part, end in end_offsets(servers, self._topic).items()}

    def _watch_topic(self) -> None:
        while not self._stop.wait(POLL_S) and self.first_record_at is None:
            try:
                if any(self._ends().values()):
                    self.first_record_at = time.monotonic()
            except TopicError:  # the broker is only starting
                continue

    def _watch_lag(self) -> None:
        began, earlier = time.monotonic(), {}
        while not self._stop.wait(LAG_EVERY_S):
            try:
                before = self._ends()
                answer = self._http.get("/api/v1/stats")
                after = self._ends()
            except (TopicError, httpx.HTTPError):
                continue
            if answer.status_code != 200 or not before:
                continue
            as_of = answer.json()["as_of"]
            if as_of["lag"] is None:  # no stream runs (yet)
                continue
            early, low, high = (
                sum(max(0, end - as_of["positions"].get(name, 0)) for name, end in ends.items())
                for ends in (earlier, before, after)
            )
            earlier = before
            self._measured.late_errors.append(
                max(early - as_of["lag"], as_of["lag"] - high, 0) / max(high, LEAST_OFFSETS)
            )
            outside = max(low - as_of["lag"], as_of["lag"] - high, 0)
            error = outside / max(high, LEAST_OFFSETS)
            if error > max(self._measured.lag_errors, default=0.0):
                self._measured.worst = (
                    f"at {time.monotonic() - began:.0f} s: {as_of['lag']:,} shown, {low:,} to {high:,}"
                )
            self._measured.lag_errors.append(error)


def environment(home: Path, pipeline: str) -> dict[str, str]:
    """The environment of commands, without settings from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WETSTREAM_")}
    return kept | {"WETSTREAM_HOME": str(home), "WETSTREAM_PIPELINE": pipeline}


@contextmanager
def command(home: Path, pipeline: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A wetstream command in the background; ended with the block."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "wetstream", *arguments],
        env=environment(home, pipeline),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=120)


def line_of(process: subprocess.Popen[str], found: Callable[[str], Any]) -> Any:
    """Read what a command prints up to the line in which `found` finds something, which is returned."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if result := found(line):
            threading.Thread(target=process.stdout.read, daemon=True).start()  # so that it never waits for us
            return result
    raise SystemExit("a command ended early:\n" + "".join(said[-20:]))


def address(line: str) -> str:
    match = re.search(r"dashboard (http://\S+?)/", line)
    return match[1] if match else ""


def measure_stream(home: Path, files: Sequence[str], records: int) -> Measured:
    """The stream waits on an empty topic; then all files are ingested."""
    measured = Measured("running stream", records=records)
    settings = load_settings(flags={"home": str(home), "pipeline": "waits"}, environ={})
    with command(home, "waits", "serve", "--port", "0") as serve, command(home, "waits", "stream") as stream:
        watcher = Watcher(settings, line_of(serve, address), measured)
        line_of(stream, lambda line: line.startswith(STREAM_LAG))
        time.sleep(IDLE_S)
        with watcher.watching(), command(home, "waits", "ingest", "--quiet", *files):
            counted_at = watcher.wait_for(records)
    assert watcher.first_record_at is not None and watcher.first_numbers_at is not None
    measured.first_s = watcher.first_numbers_at - watcher.first_record_at
    measured.whole_s = counted_at - watcher.first_record_at
    return measured


def measure_run(home: Path, pipeline: str, what: str, files: Sequence[str], records: int) -> Measured:
    """`wetstream run` does everything."""
    measured = Measured(what, records=records)
    settings = load_settings(flags={"home": str(home), "pipeline": pipeline}, environ={})
    with command(home, pipeline, "serve", "--port", "0") as serve:
        watcher = Watcher(settings, line_of(serve, address), measured)
        began = time.monotonic()
        with watcher.watching(), command(home, pipeline, "run", "--quiet", *files):
            counted_at = watcher.wait_for(records)
    assert watcher.first_numbers_at is not None
    measured.first_s = watcher.first_numbers_at - began
    measured.whole_s = counted_at - began
    return measured


def records_in(paths: Sequence[Path]) -> int:
    """Records of all files, `warcinfo` included."""
    from producers.wet.records import read_records

    return sum(1 for path in paths for _ in read_records(path))


def main() -> None:
    """Measure, and write bench/results/first_numbers.{json,md}."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1200)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--home", type=Path, default=HOME / "first-numbers")
    arguments = parser.parse_args()
    paths = sample_files(arguments.mb, arguments.files)
    records, files = records_in(paths), [str(path) for path in paths]
    home: Path = arguments.home.resolve()
    measured: list[Measured] = []
    try:
        for what in ("run, from nothing", "run, servers up", "running stream"):
            if what == "run, from nothing":
                embedded.down(home)
                shutil.rmtree(home, ignore_errors=True)
                measured.append(measure_run(home, "first", what, files, records))
            elif what == "run, servers up":
                measured.append(measure_run(home, "second", what, files, records))
            else:
                measured.append(measure_stream(home, files, records))
    finally:
        embedded.down(home)
    worst = max(error for each in measured for error in each.lag_errors or [0.0])
    ratios = {f"first numbers, {each.what}, s": each.first_s for each in measured} | {"lag wrong by at most": worst}
    notes = (
        f"{arguments.files} files of `wetstream sample`, {arguments.mb} MB of records in all. Wanted: 3 s for a "
        "running stream, 10 s for `run`, a lag within 5 %."
    )
    report.write("first_numbers", "First numbers of a backfill", ratios, [each.row for each in measured], notes)


if __name__ == "__main__":
    main()
