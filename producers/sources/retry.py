"""Trying a remote operation again: what is worth it, how long to wait, and what to say meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from producers.sources.files import SourceReadError

T = TypeVar("T")
# 403 is how some stores (Common Crawl's among them) answer too many requests, and how they answer a wrong key.
FORBIDDEN = 403
FORBIDDEN_TRIES = 3
BROKEN = frozenset({"ClientPayloadError", "ServerDisconnectedError", "ClientOSError", "ConnectionResetError"})
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
NOTE_FROM_WAIT_S = 2.0


class NoRangesError(OSError):
    """The server gives whole files only."""


class _Verdict(NamedTuple):
    """What happened in a few words; whether it may pass; how many seconds the server asked to wait."""

    text: str
    may_pass: bool
    asked_s: float = 0.0
    forbidden: bool = False


class Retrier:
    """Calls again after errors that may pass, with waits that double, for at most `retry_s` without any success.

    `stop` set ends the wait (and the trying) at once. `on_note` gets a sentence before each longer wait.
    """

    def __init__(self, name: str, retry_s: float, on_note: Callable[[str], None], stop: threading.Event) -> None:
        self._name = name
        self._retry_s = retry_s
        self._on_note = on_note
        self._stop = stop
        self._succeeded = False

    def call(self, operation: Callable[[], T], what: str, *, a_read: bool = True) -> T:
        """The operation's result. Raises SourceReadError, NoRangesError.

        Who has read before is no stranger: 403 then means "not so fast". `a_read`: whether this is such a proof.
        """
        began, wait_s, tries = time.monotonic(), FIRST_WAIT_S, 0
        while True:
            tries += 1
            try:
                result = operation()
            except Exception as error:
                text, may_pass, asked_s, forbidden = _judge(error)
                may_pass &= not forbidden or self._succeeded or tries < FORBIDDEN_TRIES
                waited_s = time.monotonic() - began
                if not may_pass or waited_s > self._retry_s or self._stop.is_set():
                    after = f", {tries} times in {waited_s:.0f} s" if tries > 1 else ""
                    raise SourceReadError(f"{what}: {text}{after}") from error
                wait_s = min(max(wait_s, asked_s), LONGEST_WAIT_S)
                if wait_s >= NOTE_FROM_WAIT_S:
                    self._on_note(f"{self._name}: {what}: {text}; again in {wait_s:.0f} s")
                self._stop.wait(wait_s)
                wait_s *= 2
            else:
                self._succeeded |= a_read
                return result


def _cause(error: BaseException) -> BaseException:
    # fsspec's HTTP file system calls every failure of its first look "not found", with the truth as the cause.
    return error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ is not None else error


def _judge(error: Exception) -> _Verdict:
    cause = _cause(error)
    status = getattr(cause, "status", None)
    kind = type(cause).__name__
    if isinstance(status, int):
        asked = str((getattr(cause, "headers", None) or {}).get("Retry-After", ""))
        may_pass = status in AGAIN or status == FORBIDDEN
        text = "it does not exist (404)" if status == 404 else f"the server answers {status}"
        return _Verdict(text, may_pass, float(asked) if asked.isdigit() else 0.0, status == FORBIDDEN)
    if isinstance(cause, ValueError) and "range" in str(cause).lower():
        raise NoRangesError("the server gives no byte ranges") from error
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return _Verdict("no AWS credentials (public buckets: --set producer.s3_anonymous=true)", may_pass=False)
    if isinstance(cause, FileNotFoundError):
        return _Verdict("it does not exist", may_pass=False)
    if isinstance(cause, (IsADirectoryError, NotImplementedError, TypeError, ValueError)):
        return _Verdict(f"{kind}: {cause}", may_pass=False)
    if kind in BROKEN:
        return _Verdict("the connection broke off", may_pass=True)
    if "Timeout" in kind:
        return _Verdict("no answer in time", may_pass=True)
    return _Verdict(f"{kind}: {cause}".rstrip(": "), may_pass=True, forbidden=isinstance(cause, PermissionError))
