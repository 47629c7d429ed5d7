"""Trying a remote operation again: which errors may pass, how long to wait, and what to tell the user meanwhile."""

from __future__ import annotations

import datetime
import email.utils
import errno
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from tenacity import RetryCallState, Retrying, sleep_using_event

from producers.sources.files import SourceReadError
from producers.sources.pace import current_pace
from producers.sources.urls import URL_REMEDY, redact

T = TypeVar("T")
# 403 is how some stores (Common Crawl's among them) answer too many requests, and how they answer a wrong key.
FORBIDDEN = 403
FORBIDDEN_TRIES = 3
BROKEN = frozenset(
    {
        "ClientPayloadError",
        "ServerDisconnectedError",
        "ClientOSError",
        "ConnectionResetError",
        "RemoteProtocolError",
        "ReadError",
        "WriteError",
    }
)
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
# Answers that ask to come less often.
SLOWER = frozenset({429, 503})
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
NOTE_FROM_WAIT_S = 2.0


class NoRangesError(OSError):
    """The server gives whole files only."""


class SourceChangedError(OSError):
    """A remote file is no longer the one that reading began with."""


class HttpStatusError(OSError):
    """An HTTP server answered with a status that is no success."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"the server answers {status}")
        self.status = status
        self.headers = headers


class _Verdict(NamedTuple):
    """What happened, in a few words; whether it may pass; how many seconds the server asked to wait."""

    text: str
    may_pass: bool
    asked_s: float = 0.0
    forbidden: bool = False
    slower: bool = False


class _Failure(Exception):  # noqa: N818  # never leaves this module
    def __init__(self, verdict: _Verdict) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict


class Retrier:
    """Repeats remote operations after errors that may pass.

    Waits double from try to try and are never shorter than the server asks for. An operation is given up after
    `retry_s` without success. All processes keep one pace per server (see `pace`).

    Args:
        name: What is read, for notes.
        server: Whose pace to keep.
        retry_s: How long to go on trying one operation.
        on_note: Gets a sentence before each longer wait.
        stop: Ends waits, and trying, when set.
    """

    def __init__(
        self, name: str, server: str, retry_s: float, on_note: Callable[[str], None], stop: threading.Event
    ) -> None:
        self._name = name
        self._server = server
        self._retry_s = retry_s
        self._on_note = on_note
        self._stop = stop
        self._succeeded = False

    def call(self, operation: Callable[[], T], what: str, *, proves_access: bool = True) -> T:
        """Return the operation's result, trying again while that may help.

        Args:
            operation: What to do.
            what: What it reads, for messages.
            proves_access: Whether its success shows that we may read the file, so that a later 403 means throttling.

        Raises:
            SourceReadError: It failed for good, or for too long.
            NoRangesError: The server has no byte ranges.
        """
        began = time.monotonic()
        retrying = Retrying(
            retry=self._may_pass,
            wait=_wait_s,
            stop=self._is_over,
            sleep=sleep_using_event(self._stop),
            before_sleep=lambda state: self._before_sleep(state, what),
            reraise=True,
        )
        try:
            result = retrying(self._attempt, operation)
        except _Failure as failure:
            tries, seconds = retrying.statistics["attempt_number"], time.monotonic() - began
            after = f", {tries} times in {seconds:.0f} s" if tries > 1 else ""
            raise SourceReadError(f"{what}: {failure.verdict.text}{after}") from failure.__cause__
        self._succeeded |= proves_access
        current_pace().succeeded(self._server)
        return result

    def _attempt(self, operation: Callable[[], T]) -> T:
        current_pace().wait(self._server, self._stop)
        try:
            return operation()
        except Exception as error:
            raise _Failure(_judge(error)) from error

    def _may_pass(self, state: RetryCallState) -> bool:
        verdict = _verdict(state)
        if verdict is None or not verdict.may_pass:
            return False
        return not verdict.forbidden or self._succeeded or state.attempt_number < FORBIDDEN_TRIES

    def _is_over(self, state: RetryCallState) -> bool:
        verdict = _verdict(state)
        # A server that asks us to wait for longer than we go on trying is not asked again.
        asked_s = 0.0 if verdict is None else verdict.asked_s
        return self._stop.is_set() or asked_s > self._retry_s or (state.seconds_since_start or 0.0) > self._retry_s

    def _before_sleep(self, state: RetryCallState, what: str) -> None:
        verdict = _verdict(state)
        assert verdict is not None
        if verdict.slower or (verdict.forbidden and self._succeeded):
            current_pace().slow_down(self._server, state.upcoming_sleep)
        if state.upcoming_sleep >= NOTE_FROM_WAIT_S:
            self._on_note(f"{self._name}: {what}: {verdict.text}; again in {state.upcoming_sleep:.0f} s")


def _verdict(state: RetryCallState) -> _Verdict | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.verdict if isinstance(error, _Failure) else None


def _wait_s(state: RetryCallState) -> float:
    verdict = _verdict(state)
    return max(
        min(FIRST_WAIT_S * 2 ** min(state.attempt_number - 1, 16), LONGEST_WAIT_S),
        verdict.asked_s if verdict is not None else 0.0,
    )


def _retry_after_s(headers: Any) -> float:
    """Seconds of a Retry-After header (RFC 9110, section 10.2.3: seconds, or a date); 0 without a valid one."""
    text = str((headers or {}).get("Retry-After", "")).strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 10 else 1e9
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError, IndexError):
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())


def _judge(error: Exception) -> _Verdict:
    # fsspec's HTTP file system calls every failure of its first request "not found", with the truth as the cause.
    cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ is not None else error
    status = getattr(cause, "status", None)
    kind = type(cause).__name__
    if isinstance(status, int):
        text = "it does not exist (404)" if status == 404 else f"the server answers {status}"
        return _Verdict(
            text,
            may_pass=status in AGAIN or status == FORBIDDEN,
            asked_s=_retry_after_s(getattr(cause, "headers", None)),
            forbidden=status == FORBIDDEN,
            slower=status in SLOWER,
        )
    if isinstance(cause, NoRangesError):
        raise cause
    if isinstance(cause, ValueError) and "range" in str(cause).lower():
        raise NoRangesError("the server gives no byte ranges") from error
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return _Verdict("no AWS credentials (public buckets: --set producer.s3_anonymous=true)", may_pass=False)
    if isinstance(cause, FileNotFoundError):
        return _Verdict("it does not exist", may_pass=False)
    if isinstance(cause, (SourceReadError, SourceChangedError)):
        return _Verdict(str(cause), may_pass=False)
    if kind == "InvalidURL" or (isinstance(cause, ValueError) and "port" in str(cause).lower()):
        # Libraries name what they take for the port: with a slash in the password, a part of the password.
        text = f"the URL is not valid: {URL_REMEDY}"
        return _Verdict(text, may_pass=False)
    if isinstance(cause, (IsADirectoryError, NotImplementedError, TypeError, ValueError)):
        return _Verdict(redact(f"{kind}: {cause}"), may_pass=False)
    if kind == "RemoteProtocolError" and not re.search("disconnected|peer closed", str(cause)):
        return _Verdict(redact(f"the answer is no valid HTTP ({str(cause)[:100]})"), may_pass=True)
    if kind in BROKEN:
        return _Verdict("the connection broke off", may_pass=True)
    if "Timeout" in kind:
        return _Verdict("no answer in time", may_pass=True)
    return _Verdict(
        redact(f"{kind}: {cause}").rstrip(": "),
        may_pass=True,
        forbidden=isinstance(cause, PermissionError),
        slower=isinstance(cause, OSError) and cause.errno == errno.EBUSY,  # S3's SlowDown, as s3fs translates it
    )
