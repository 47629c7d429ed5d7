"""How commands fail: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
import redis.exceptions
from redis import Redis

from sinks.keys import live_key
from streaming.errors import OutageError
from tests.harness import Command
from wetstream.commands.main import cli
from wetstream.commands.terminal import failures
from wetstream.commands.terminal.failures import FAILED, INTERRUPTED, PIPE_CLOSED, UNEXPECTED, USAGE, sentence


@pytest.fixture
def offline(tmp_path: Path) -> Command:
    """The command without any server; its state directory is not there yet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WETSTREAM_")}
    return Command(kept | {"WETSTREAM_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)})


def failing(error: BaseException) -> click.Command:
    def work() -> None:
        raise error

    return click.Command("work", callback=work)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OutageError("gave up after 300 s"), 75, "gave up after 300 s"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), FAILED, "/data/x: the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), FAILED, "/data/x: permission denied"),
        (OSError(errno.EMFILE, "Too many open files"), FAILED, "ulimit -n"),
        (FileNotFoundError("[Errno 2] Failed to open local file '/data/x.parquet'"), FAILED, "'/data/x.parquet'"),
        (redis.exceptions.ConnectionError("Connection refused"), FAILED, "Redis does not answer"),
        (redis.exceptions.ResponseError("WRONGTYPE of ws:{main}:live"), FAILED, "ws:{main}:live"),
        (MemoryError(), FAILED, "out of memory"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted"),
        (click.UsageError("no [red] \x1b[2J"), USAGE, r"no [red] \x1b[2J"),
        (ZeroDivisionError("a\x1b[2J"), UNEXPECTED, r"unexpected ZeroDivisionError: a\x1b[2J"),
        (OSError(errno.EIO, "I/O error", "redis://user:hunter2hunter2@host/"), FAILED, "***@host"),
    ],
)
def test_an_error_is_one_sentence_and_a_code(
    error: BaseException,
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert failures.run(failing(error), []) == code
    told = capsys.readouterr().err
    assert words in told and "Traceback" not in told and told.count("error: ") <= 1
    kept = list(tmp_path.glob("wetstream-*.traceback"))
    assert [("ZeroDivisionError" in path.read_text()) for path in kept] == [True] * (code == UNEXPECTED)


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(failures.DEBUG_VARIABLE, "1")
    assert failures.run(failing(ZeroDivisionError("x")), []) == UNEXPECTED
    assert "Traceback" in capsys.readouterr().err


def test_every_redis_and_kafka_error_has_a_sentence() -> None:
    from kafka import errors as kafka_errors

    redis_errors = [each for each in vars(redis.exceptions).values() if isinstance(each, type)]
    broker_errors = [
        kafka_errors.KafkaError,
        kafka_errors.TopicAuthorizationFailedError,
        kafka_errors.KafkaTimeoutError,
    ]
    for kind in [each for each in redis_errors if issubclass(each, redis.RedisError)] + broker_errors:
        assert sentence(kind.__new__(kind)), kind


@pytest.mark.parametrize(
    "arguments",
    [
        ["top", "--limit", "-1"],
        ["top", "--limit", "99999999999999999999"],
        ["stats", "--min-df", "x"],
        ["stats", "--min-df", ""],
        ["stats", "--min-df", "0"],
        ["stats", "--max-df", "nan"],
        ["stats", "--max-df", "-0.1"],
        ["documents", "vacuum", "--retain-hours", "inf"],
        ["sample", "x.wet.gz", "--mb", "inf"],
        ["word", ""],
        ["word", "\udcff"],
        ["ingest", "x", "--as", " "],
        ["run", ""],
        ["stats", "--pipeline", ""],
        ["replay", "--from", "files"],
        ["nosuch\x1b[2J"],
        ["stats", "--no\u202esuch"],
        ["remove"],
    ],
)
def test_wrong_usage_is_refused_in_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.run(cli, arguments) == USAGE
    told = capsys.readouterr().err
    (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
    assert "\x1b" not in told and "\u202e" not in told and len(line) > 20


def test_every_help_text_exists_and_fits_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    def walk(command: click.Command, path: list[str]) -> None:
        assert failures.run(cli, [*path, "--help"]) == 0
        text = capsys.readouterr().out
        assert text.startswith("Usage: wetstream") and command.help
        assert max(len(line) for line in text.splitlines()) <= 100
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, [*path, name])

    walk(cli, [])


def test_closed_output_pipe_is_not_an_error(offline: Command) -> None:
    process = offline.start("--help")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) in (0, PIPE_CLOSED)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "wetstream", "doctor", "--json"],
        env=offline.environment,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (PIPE_CLOSED, "")


def test_an_answer_that_cannot_be_written_fails(offline: Command) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "wetstream", "doctor", "--json"],
            env=offline.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == FAILED and "disk is full" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "utf-8"])
def test_any_encoding_of_the_terminal(offline: Command, encoding: str, tmp_path: Path) -> None:
    name = tmp_path / os.fsdecode(b"p\xff\xe6\xbc\xa2.txt")
    name.write_text("just words of a page")
    done = offline("explain", name, PYTHONIOENCODING=encoding)
    shown = "漢" if encoding == "utf-8" else r"\u6f22"
    assert rf"p\xff{shown}.txt" in done.stdout
    assert offline.json("explain", name, PYTHONIOENCODING=encoding)["page"]


def test_too_few_open_files_are_refused_by_name(offline: Command, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wetstream", "up"],
        env=offline.environment,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )
    assert done.returncode == FAILED and "ulimit -n" in done.stderr and "Traceback" not in done.stderr


def test_symlink_loop_and_impossible_home(offline: Command, tmp_path: Path) -> None:
    loop = tmp_path / "loop.wet.gz"
    loop.symlink_to(loop)
    assert "loop.wet.gz" in offline("ingest", loop, code=1).stderr
    assert "/dev/null" in offline("up", code=1, WETSTREAM_HOME="/dev/null/x").stderr


@pytest.mark.slow
def test_names_that_no_file_can_have_and_digits_of_other_scripts(offline: Command) -> None:
    for arguments in (["explain", "x" * 5_000], ["explain", "http://" + "x" * 5_000]):
        done = offline(*arguments, code=1)
        assert "too long" not in done.stderr and len(done.stderr.splitlines()) == 1
    for number in ("１０", "1_0", "1e1", "", " "):
        assert "is not a whole number" in offline("top", "-n", number, code=2).stderr
        assert "is not a" in offline("top", "--max-df", number.replace("1e1", "nan"), code=2).stderr


def test_a_redis_key_of_another_type_is_named(wetstream: Command, redis_client: Redis) -> None:
    key = live_key(wetstream.environment["WETSTREAM_PIPELINE"])
    redis_client.rpush(key, "garbage")
    for command in (["stats"], ["top"], ["word", "a"], ["segments"], ["batches"]):
        done = wetstream(*command, code=None)
        assert done.returncode == FAILED or command == ["batches"]
        assert done.returncode == 0 or ("error: " in done.stderr and len(done.stderr.splitlines()) <= 2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_says_so_and_exits_nonzero(number: signal.Signals, wetstream: Command, sample: Path) -> None:
    running = wetstream.start("run", sample)
    Command.read_until(running, "ingested")
    os.kill(running.pid, number)
    output, _ = running.communicate(timeout=120)
    assert running.returncode == 128 + number, output
    assert "interrupted" in output and "never" not in output and "Traceback" not in output
