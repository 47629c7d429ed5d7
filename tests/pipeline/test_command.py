"""The command as a person uses it: answers, exit codes, and errors in one sentence without a traceback."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.harness import Command
from wetstream import read_wet

KEYS = {"records", "documents", "tokens", "words", "rejected", "length", "sources", "as_of", "profile"}


@pytest.mark.timeout(900)  # some thirty commands, each a process
def test_run_then_ask(wetstream: Command, sample: Path, tmp_path: Path) -> None:
    first = wetstream.json("run", "--profile", "p21", sample)
    assert [source["state"] for source in first["sources"]] == ["done"]
    stats = wetstream.json("stats")
    assert stats.keys() >= KEYS and stats["records"] == 301 and stats["profile"] == "p21"
    assert stats["as_of"].keys() >= {"time", "positions", "lag", "applying"}
    assert stats["length"].keys() == {"min", "max", "mean", "p10", "p30", "p50", "p70", "p90", "p99"}
    assert stats["records"] == stats["documents"] + sum(stats["rejected"].values())

    answer = wetstream.json("top", "-n", "5")
    top = answer["words"]
    assert answer["as_of"] == stats["as_of"] and len(top) == 5 and top[0].keys() == {"word", "tf", "df"}
    assert top == sorted(top, key=lambda row: (-row["tf"], row["word"]))
    assert wetstream.json("word", top[0]["word"]).items() >= top[0].items()
    found, unseen = wetstream.json("word", top[0]["word"].upper(), "neverseen")
    assert found.items() >= top[0].items() and found["rank"] == 1 and found["idf"] > 0
    assert unseen == {"word": "neverseen", "tf": 0, "df": 0, "idf": None, "rank": None}
    view = wetstream.json("stats", "--min-df", "3", "--max-df", "0.5")
    assert 0 < view["words"] < stats["words"] and 0 < view["tokens"] < stats["tokens"]
    told = wetstream("word", "the", "neverseen").stdout
    assert "the: profile p21 leaves it out (stop word)" in told and "neverseen: no document holds it so far" in told
    assert wetstream.json("explain", sample, "--profile", "english")["profile"] == "english"
    assert (Path(wetstream("documents", "path").stdout.strip()) / "_delta_log").is_dir()
    (segment,) = wetstream.json("segments")
    assert (segment["produced"], segment["records"], segment["state"]) == (301, 301, "done")
    assert sum(row["pages"] for row in wetstream.json("languages")) == 300
    days = [row["name"] for row in wetstream.json("days")]
    assert days == sorted(days, reverse=True) and len(days) > 2
    prefix = top[0]["word"][:2]
    found = wetstream.json("search", prefix, "-n", "3")
    assert found["words"][0]["word"] == top[0]["word"] and all(row["word"].startswith(prefix) for row in found["words"])
    assert wetstream("search", prefix).stdout.split()[:4] == ["word", "tf", "df", "idf"]
    lines = wetstream("vocabulary", "--min-df", "3").stdout.splitlines()
    assert len(lines) == 1 + view_words(wetstream) and lines[0] == "word\ttf\tdf\tidf"
    wetstream("vocabulary", "--min-df", "3", tmp_path / "words.parquet")
    assert pq.read_metadata(tmp_path / "words.parquet").num_rows == len(lines) - 1
    assert wetstream.json("zipf")["points"][0]["word"] == top[0]["word"]
    assert wetstream.json("growth")["points"][-1]["words"] == stats["words"]
    assert wetstream.json("hosts")["hosts"][0]["pages"] >= 1
    record = next(record for record in read_wet(sample) if record.url)
    assert f"WARC-Target-URI: {record.url}" in wetstream("show", record.url).stdout
    assert "has the URL" in wetstream("show", "http://nowhere.example/", code=1).stderr


@pytest.mark.timeout(900)
def test_run_again_then_maintain_then_drop(wetstream: Command, sample: Path, tmp_path: Path) -> None:
    wetstream("run", "--profile", "p21", sample)
    link, copy = tmp_path / "link.warc.wet.gz", tmp_path / "copy.warc.wet.gz"
    link.symlink_to(sample)
    shutil.copy(sample, copy)
    again = wetstream("run", sample, link, copy)
    assert "already ingested" in again.stdout and "same content" in again.stdout
    assert wetstream.json("stats")["records"] == 301
    assert wetstream.json("verify")["ok"]
    for command in (["stats"], ["top"], ["word", "the"], ["segments"], ["days"], ["batches"], ["status"]):
        assert wetstream(*command).stdout
    assert "WRITE" in wetstream("documents", "history").stdout
    assert "small files" in wetstream("documents", "compact").stdout
    assert "were deleted" in wetstream("documents", "vacuum", "--retain-hours", "0").stdout
    assert wetstream.json("verify")["ok"]

    name = wetstream.environment["WETSTREAM_PIPELINE"]
    assert [row["records"] for row in wetstream.json("pipelines", "list") if row["name"] == name] == [301]
    assert "--yes" in wetstream("pipelines", "drop", name, code=2).stderr
    wetstream("topics", "train", "--topics", "2", "--passes", "1", "--min-df", "3")
    models = Path(wetstream.environment["WETSTREAM_HOME"]) / "topics" / name
    assert list(models.iterdir())
    wetstream("pipelines", "drop", name, "--yes")
    assert not models.exists()
    assert name not in [row["name"] for row in wetstream.json("pipelines", "list")]
    assert "there is no pipeline" in wetstream("pipelines", "drop", name, "--yes", code=1).stderr
    wetstream("stats", code=1)


def view_words(wetstream: Command) -> int:
    return int(wetstream.json("stats", "--min-df", "3")["words"])


def test_bad_sources_are_named_with_the_place_and_the_remedy(wetstream: Command, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.warc.wet.gz").touch()
    (tmp_path / "text.warc.wet.gz").write_text("no WARC at all")
    (tmp_path / "page.wet").write_text("<!DOCTYPE html><html></html>")
    (tmp_path / "x.warc.wat.gz").write_bytes(
        gzip.compress(
            b"WARC/1.0\r\nWARC-Type: metadata\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}\r\n\r\n"
        )
    )
    content = sample.read_bytes()
    (tmp_path / "cut.warc.wet.gz").write_bytes(content[:-5000])
    # What is not there keeps all from being read; the others are named at the end, each with its reason.
    for together in (
        {"missing.gz": "no such file"},
        {"empty": "no WET files"},
        {
            "empty.warc.wet.gz": "is empty",
            "text.warc.wet.gz": "byte offset 0",
            "page.wet": "HTML",
            "x.warc.wat.gz": "WAT file",
            "cut.warc.wet.gz": "byte offset",
        },
    ):
        done = wetstream("ingest", *(tmp_path / name for name in together), code=1)
        told = (done.stdout + done.stderr).replace("\n", " ")
        for name, words in together.items():
            assert name in told.replace(" ", "") and words in told, f"{name}: {told}"


def test_errors_are_one_sentence(wetstream: Command, sample: Path) -> None:
    for arguments, words in [
        (["stats"], "nothing has been counted"),
        (["verify"], "no documents yet"),
        (["rebuild"], "no documents yet"),
        (["stats", "--set", "kafka.partition=1"], "did you mean kafka.partitions"),
        (["stats", "--set", "nonsense"], "KEY=VALUE"),
        (["stats", "--set", "redis.url=redis://127.0.0.1:1"], "does not answer"),
        (["run", str(sample), "--profile", "nosuch"], "nosuch"),
        (["ingest", str(sample), "--set", "kafka.bootstrap_servers=127.0.0.1:1"], "no Kafka broker answers"),
    ]:
        done = wetstream(*arguments, code=1)
        assert words in done.stderr.replace("\n", " "), done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_running_stream_shuts_down_on_a_signal(number: signal.Signals, wetstream: Command, sample: Path) -> None:
    wetstream("ingest", sample)
    running = wetstream.start("stream", "--profile", "p21")
    try:
        deadline = time.monotonic() + 120
        while not wetstream.counted():
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        os.kill(running.pid, number)
        output, _ = running.communicate(timeout=60)
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 0, output
    assert "stopping after the current" in output.replace("\n", " ")
    assert wetstream.json("verify")["ok"]
