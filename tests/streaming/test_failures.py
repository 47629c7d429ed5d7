"""Failures: what is said of them in one line, and which ones are retried, and for how long."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest
from kafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError
from redis import RedisError
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)

from producers.topic.topics import TopicError
from streaming.errors import StreamError
from streaming.failures import Outage, describe, is_permanent
from streaming.tasks.partials import InconsistentPartialsError

WORKER = """An error occurred while calling o101.toArrow.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 3.0 failed 1 times, most recent \
failure: Lost task 1.0 in stage 3.0 (TID 7): org.apache.spark.api.python.PythonException: {traceback}

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:581)
Caused by: org.apache.spark.api.python.PythonException: {traceback}

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:581)
\t... 1 more
"""
TRACEBACK = """Traceback (most recent call last):
  File "worker.py", line 2044, in main
    process()
    ~~~~~~~^^
  File "fused.py", line 3, in run
    raise
{line}"""


def from_worker(line: str) -> Exception:
    return RuntimeError(WORKER.format(traceback=TRACEBACK.format(line=line)))


def topic_error(cause: Exception) -> TopicError:
    error = TopicError("the broker did not answer")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (from_worker("PermissionError: [Errno 13] Permission denied: '/d/x.parquet'"), "'/d/x.parquet'"),
        (from_worker("conf.errors.ExplainedError: no such thing"), "ExplainedError: no such thing"),
        (from_worker("AssertionError"), "AssertionError"),
        (
            from_worker(
                "KeyError: 1\n\nDuring handling of the above exception, another exception occurred:\n\n"
                + TRACEBACK.format(line="ModuleNotFoundError: No module named 'numba'")
            ),
            "the executors' Python has no module numba: make an archive with `wetstream package`",
        ),
        (
            RuntimeError(
                'x\n\tat y\nCaused by: java.io.IOException: Cannot run program "python9": error=2, No such file'
            ),
            'the executors have no Python at python9: name theirs in "spark.pyspark.python"',
        ),
        (
            from_worker(
                "pyspark.errors.exceptions.base.PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] Python in worker has "
                "different version: 3.12 than that in driver: 3.11, PySpark cannot run with different minor versions."
            ),
            "the executors' Python is 3.12, and the driver's 3.11",
        ),
        (
            RuntimeError(
                "x\nCaused by: java.lang.ClassNotFoundException: org.apache.spark.sql.kafka010.KafkaBatchPartition"
            ),
            "Spark has no Kafka connector here (org.apache.spark.sql.kafka010.KafkaBatchPartition)",
        ),
        (
            RuntimeError(
                "x\nCaused by: org.apache.spark.SparkException:\nError from python worker:\n  /a: line 9: x\n"
                "  RuntimeError: there is no Python 3.11 on w3: install it\nPYTHONPATH was:\n  /spark.zip\n\tat z"
            ),
            "a Python worker did not start: RuntimeError: there is no Python 3.11 on w3: install it",
        ),
        (RuntimeError("a: b\n\tat x\nCaused by: c: d\n\tat y\nCaused by: e: f\n\t... 1 more"), "e: f"),
        (ValueError(), "ValueError"),
        (OutOfMemoryError("command not allowed"), "Redis refuses: command not allowed"),
        (TimeoutError("Timeout reading"), "Timeout reading"),
    ],
)
def test_one_line_that_names_the_cause(error: Exception, line: str) -> None:
    assert line in describe(error) and "\n" not in describe(error)


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        ResponseError("unknown command 'HMGET'"),
        AuthenticationError("Authentication required."),
        NoPermissionError("this user has no permissions"),
        topic_error(TopicAuthorizationFailedError("records")),
        FileNotFoundError(2, "No such file or directory", "live.json"),
        OSError(30, "Read-only file system", "documents"),
        pa.ArrowInvalid("Parquet magic bytes not found"),
        from_worker("PermissionError: [Errno 13] Permission denied: '/d'"),
        from_worker("OSError: [Errno 30] Read-only file system: '/d'"),
        from_worker("ModuleNotFoundError: No module named 'streaming'"),
        RuntimeError("Generic LocalFileSystem error: Permission denied (os error 13)"),
        RuntimeError('x\nCaused by: java.io.IOException: Cannot run program "python9": error=2, No such file'),
    ],
    ids=str,
)
def test_permanent_errors_end_the_stream_at_once(error: Exception) -> None:
    assert is_permanent(error)
    with pytest.raises(StreamError, match="cannot go on"):
        Outage(60, threading.Event()).check(error)


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ReadOnlyError("You can't write against a read only replica."),
        BusyLoadingError("Redis is loading the dataset in memory"),
        ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk"),
        TimeoutError("Timeout reading from socket"),
        topic_error(KafkaTimeoutError()),
        OSError(28, "No space left on device"),
        from_worker("OSError: [Errno 28] No space left on device"),
        RuntimeError("org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)"),
        RuntimeError("org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment"),
        InconsistentPartialsError("two tasks read the same offsets"),
    ],
    ids=str,
)
def test_transient_errors_are_retried(error: Exception) -> None:
    assert not is_permanent(error)
    Outage(60, threading.Event()).check(error)


def test_an_outage_ends_at_its_limit_whatever_fails_meanwhile() -> None:
    outage = Outage(1, threading.Event())
    attempts = []

    def fail() -> None:
        attempts.append(outage.left_s)
        raise TimeoutError("Timeout reading from socket")

    with pytest.raises(StreamError, match=r"gave up after 1 s .*Timeout reading"):
        outage.retry(fail)
    assert len(attempts) >= 2 and min(attempts) > -0.5
    # The limit is that of the outage, not of each attempt at something.
    attempts.clear()
    with pytest.raises(StreamError, match="gave up after 1 s"):
        outage.retry(fail)
    assert len(attempts) == 1
    outage.ended()
    assert outage.left_s == 1


def test_a_retry_returns_what_the_first_success_returns() -> None:
    outcomes: list[Exception | str] = [RedisError("a"), topic_error(KafkaTimeoutError()), "done"]

    def act() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert Outage(60, threading.Event()).retry(act) == "done" and not outcomes


def test_stopped_stream_stops_waiting() -> None:
    stop = threading.Event()
    stop.set()

    def fail() -> None:
        raise RedisError("away")

    with pytest.raises(StreamError, match="stopped while waiting"):
        Outage(3600, stop).retry(fail)
