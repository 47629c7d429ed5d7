"""Failures of a stream: what each means in one line, whether it can pass, and for how long to retry."""

from __future__ import annotations

import errno
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pyarrow as pa
from redis import RedisError
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError
from tenacity import RetryCallState, Retrying, retry_if_exception
from tenacity.wait import wait_exponential

from conf.errors import ExplainedError
from producers.topic.topics import TopicError
from sinks.statistics.errors import MemoryFullError
from streaming.errors import OutageError, StreamError

log = logging.getLogger("wetstream")

MAX_WAIT_S = 10.0
ROOM_POLL_S = 2.0
SAY_AGAIN_S = 60.0
MAX_TEXT = 300
# Replies of Redis that no waiting changes. (READONLY, OOM, MISCONF, LOADING and the like pass.)
PERMANENT_REPLIES = (
    "WRONGTYPE",
    "NOPERM",
    "NOAUTH",
    "WRONGPASS",
    "unknown command",
    "DB index is out of range",
    "CERTIFICATE_VERIFY_FAILED",
)
PERMANENT_ERRNOS = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}
# Exceptions of a Python worker that the next attempt would only meet again.
PERMANENT_IN_WORKER = {
    "FileNotFoundError",
    "ImportError",
    "IsADirectoryError",
    "ModuleNotFoundError",
    "NotADirectoryError",
    "PermissionError",
}
# Parts of a message of Spark, Kafka's Java client or delta-rs that name a permanent failure.
PERMANENT_TEXT = re.compile(
    r"Cannot run program|Failed to find (?:the )?data source|ClassNotFoundException|NoClassDefFoundError"
    r"|PYTHON_VERSION_MISMATCH|RuntimeError: there is no Python"
    r"|(?:Topic|Group|Cluster)AuthorizationException|SaslAuthenticationException|SslAuthenticationException"
    r"|UnsupportedVersionException"
)
ERRNO_IN_TEXT = re.compile(r"\[Errno (\d+)\]|\(os error (\d+)\)")
ARCHIVE_REMEDY = "make an archive with `wetstream package` and name it in stream.archive, or install wetstream there"
# What executors, or Spark itself, can lack, and the remedy; {} is what the expression has found.
LACKING = (
    (
        re.compile(r'Cannot run program "([^"]+)"'),
        'the executors have no Python at {}: name theirs in "spark.pyspark.python", or ' + ARCHIVE_REMEDY,
    ),
    (
        re.compile(r"worker has different version: (\S+) than that in driver: (\S+),"),
        "the executors' Python is {}, and the driver's {}: the two have to be the same; " + ARCHIVE_REMEDY,
    ),
    (
        re.compile(
            r"(?:NoClassDefFoundError|ClassNotFoundException|Failed to find (?:the )?data source): "
            r"(org[./]apache[./](?:spark[./]sql[./]kafka010|kafka)\S*|kafka\b)"
        ),
        "Spark has no Kafka connector here ({}): see that `--packages` or `--jars` of spark-submit, or spark.jars, "
        "names it and its dependencies",
    ),
)
MODULE = re.compile(r"No module named '([\w.]+)'")
WORKER_OUTPUT = re.compile(r"Error from python worker:\s*\n(.*?)\n\s*PYTHONPATH was", re.DOTALL)
TRACEBACK = "Traceback (most recent call last):"
EXCEPTION_LINE = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")

T = TypeVar("T")


def describe(error: BaseException) -> str:
    """One line that says what went wrong: the last exception of a Python worker, else the innermost Java cause."""
    text = str(error)
    for pattern, sentence in LACKING:
        if lacking := pattern.search(text):
            return sentence.format(*lacking.groups())
    if said := WORKER_OUTPUT.search(text):
        return f"a Python worker did not start: {said[1].strip().splitlines()[-1].strip()}"[:MAX_TEXT]
    found = worker_exception(text)
    if found is not None:
        name, message = found
        if name == "ModuleNotFoundError" and (module := MODULE.search(message)):
            return f"the executors' Python has no module {module[1]}: {ARCHIVE_REMEDY}"
        return f"{name}: {message}"[:MAX_TEXT] if message else name
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    line = (causes[-1] if causes else lines[0])[:MAX_TEXT]
    if isinstance(error, AuthenticationError | AuthorizationError):
        return f"Redis refuses the login: {line}"
    if isinstance(error, RedisConnectionError):
        return f"Redis does not answer ({line})"
    if isinstance(error, RedisError):
        return f"Redis refuses: {line}"
    return line


def worker_exception(text: str) -> tuple[str, str] | None:
    """Name and message of the last Python exception in a message of Spark; None if it holds no traceback."""
    _, found, rest = text.rpartition(TRACEBACK)
    if not found:
        return None
    for line in rest.splitlines()[1:]:
        if not line.strip() or line[0].isspace():
            continue
        match = EXCEPTION_LINE.match(line.rstrip())
        if match:
            return match["type"].rpartition(".")[2], match["message"] or ""
        return None
    return None


def is_permanent(error: BaseException) -> bool:
    """Whether another attempt would fail the same way until somebody changes something."""
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        return True
    if isinstance(error, RedisError):
        return any(reply in str(error) for reply in PERMANENT_REPLIES)
    if isinstance(error, TopicError):
        return any(_is_permanent_in_kafka(cause) for cause in _causes(error))
    if isinstance(error, ExplainedError):
        return False  # whoever raised it has judged it
    if isinstance(error, pa.ArrowInvalid):
        return True  # a Parquet file of the table is cut or overwritten
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in PERMANENT_ERRNOS
    text = str(error)
    found = worker_exception(text)
    if found is not None and found[0] in PERMANENT_IN_WORKER:
        return True
    numbers = {int(first or second) for first, second in ERRNO_IN_TEXT.findall(text)}
    return bool(numbers & PERMANENT_ERRNOS) or PERMANENT_TEXT.search(text) is not None


def _is_permanent_in_kafka(error: BaseException) -> bool:
    name = type(error).__name__
    return "Authorization" in name or "Authentication" in name or name == "UnsupportedVersionError"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def permanent_failure(error: BaseException) -> StreamError:
    """The error that ends a stream at once."""
    return StreamError(
        f"the stream cannot go on: {describe(error)}. Nothing is lost: remove the cause and start the stream again"
    )


class Outage:
    """Retries through one outage for at most `limit_s`, counted from its first failure.

    The attempts of a stream to reach Kafka and to run a query share one, so that the limit holds for their sum. Once
    `stop` is set there are no more attempts.
    """

    def __init__(self, limit_s: float, stop: threading.Event) -> None:
        self._limit_s = limit_s
        self._stop = stop
        self._lock = threading.Lock()
        self._since: float | None = None
        self._said_at = -SAY_AGAIN_S
        self.is_ending = False

    def another(self) -> Outage:
        """An outage of something else, with the same limit."""
        return Outage(self._limit_s, self._stop)

    def began(self, ago_s: float = 0.0) -> None:
        """Note a failure that was first seen `ago_s` seconds ago."""
        with self._lock:
            if self._since is None:
                self._since = time.monotonic() - ago_s

    def ended(self) -> None:
        """Note that work gets done again."""
        with self._lock:
            self._since = None

    @property
    def left_s(self) -> float:
        """Seconds until the stream gives up; the whole limit while nothing fails."""
        since = self._since
        return self._limit_s if since is None else since + self._limit_s - time.monotonic()

    def check(self, error: BaseException) -> None:
        """Note a failure. Raises StreamError if it is permanent, OutageError if the outage has lasted too long."""
        if is_permanent(error):
            raise permanent_failure(error) from error
        self.began()
        if self.left_s <= 0:
            raise OutageError(
                f"gave up after {self._limit_s:.0f} s (stream.retry_s): {describe(error)}. Nothing is lost: start the "
                "stream again when the cause is gone"
            ) from error

    def wait_for_room(self, error: MemoryFullError) -> None:
        """Wait a while for room in Redis; the limit does not apply, since only a person makes room.

        Raises:
            StreamError: The stream was stopped.
            MemoryFullError: The query that waits is ending (`is_ending`).
        """
        now = time.monotonic()
        if now - self._said_at >= SAY_AGAIN_S:
            self._said_at = now
            log.warning("waiting: %s", error)
        until = now + ROOM_POLL_S
        while time.monotonic() < until:
            if self._stop.is_set():
                raise StreamError(f"stopped while waiting: {error}") from error
            if self.is_ending:
                raise error
            self._stop.wait(0.1)

    def retry(self, action: Callable[[], T]) -> T:
        """Return what `action` returns, trying again after an error of Kafka or Redis that can pass.

        Raises:
            StreamError: The error is permanent, or the stream was stopped.
            OutageError: The outage has lasted too long.
        """
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, RedisError | TopicError)),
            wait=self._wait_s,
            sleep=self._sleep,
            before_sleep=self._before_sleep,
        )
        return retrying(action)

    def _wait_s(self, state: RetryCallState) -> float:
        return min(wait_exponential(multiplier=0.5, max=MAX_WAIT_S)(state), max(self.left_s, 0.0))

    def _before_sleep(self, state: RetryCallState) -> None:
        assert state.outcome is not None
        error = state.outcome.exception()
        assert error is not None
        if self._stop.is_set():
            raise StreamError(f"stopped while waiting: {describe(error)}. Nothing is lost") from error
        self.check(error)
        log.warning("waiting: %s", describe(error))

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)
