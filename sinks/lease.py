"""The writer lease: a pipeline has one writer at a time, and a second one learns who holds it.

The lease serves people and orderly hand-over; correctness does not depend on it. That is ensured by the documents
table's log, which refuses the commit of a writer that has not seen the last one (`sinks.documents.log`).
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any, cast

import psutil
from redis import Redis, RedisError
from redis.exceptions import ResponseError

from conf.errors import ExplainedError

# Compare and set. KEYS[1]: lease, ARGV: expected value, new value, its time to live in ms. Returns the value of another
# holder, or nothing.
SWAP = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return ''
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


MALFORMED = "null"  # is parsed as no lease


class LeaseError(ExplainedError):
    """Another writer holds the lease; the message says which."""


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who holds a lease: a process, when it started and since when it holds the lease (Unix seconds)."""

    host: str
    pid: int
    process_started: float
    since: float

    @property
    def is_gone(self) -> bool:
        """Whether it was a process of this machine that does not exist any more."""
        if self.host != socket.gethostname():
            return False
        try:
            return abs(psutil.Process(self.pid).create_time() - self.process_started) > 1
        except (psutil.NoSuchProcess, ValueError, OverflowError):
            return True

    @property
    def description(self) -> str:
        """A sentence that names the holder, and what to do."""
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return (
            f"another writer has this pipeline: process {self.pid} on {self.host}, since {since}. "
            "Stop it first, or give this one another --pipeline"
        )


class Lease:
    """Holds the lease from `acquire` to `release`, renewed by a background thread.

    The lease of a dead process on this machine is taken over at once, that of another machine once it has expired.
    """

    def __init__(self, client: Redis, key: str, *, lease_s: float) -> None:
        self._client = client
        self._key = key
        self._lease_ms = int(lease_s * 1000)
        me = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "process_started": psutil.Process().create_time(),
            "since": time.time(),
            "id": uuid.uuid4().hex,
        }
        self._value = json.dumps(me)
        self._ended = threading.Event()
        self._lost_to: str | None = None

    def acquire(self) -> None:
        """Take the lease, and keep renewing it.

        Raises:
            LeaseError: Another writer holds it, or the key holds something else.
        """
        held = self._swap("")
        holder = self._parse(held)
        if holder is not None and holder.is_gone:
            held = self._swap(held)
            holder = self._parse(held)
        if holder is not None:
            raise LeaseError(holder.description)
        threading.Thread(target=self._renew, name="wetstream-lease", daemon=True).start()

    def check(self) -> None:
        """Check that the lease is still held.

        Raises:
            LeaseError: Another writer has taken it.
        """
        if self._lost_to is not None and (holder := self._parse(self._lost_to)) is not None:
            raise LeaseError(holder.description)

    def release(self) -> None:
        """Release the lease."""
        self._ended.set()
        try:
            self._client.eval(RELEASE, 1, self._key, self._value)
        except RedisError:
            return  # Redis is away; the lease will expire

    def _swap(self, expected: str) -> str:
        try:
            held = cast("Any", self._client.eval(SWAP, 1, self._key, expected, self._value, str(self._lease_ms)))
        except ResponseError as error:
            if "WRONGTYPE" in str(error):
                raise self._malformed() from error
            raise
        return held.decode(errors="replace") if isinstance(held, bytes) else str(held)

    def _parse(self, held: str) -> _Holder | None:
        if not held:
            return None
        try:
            fields = json.loads(held)
            numbers = float(fields["process_started"]), float(fields["since"])
            return _Holder(str(fields["host"]), int(fields["pid"]), *numbers)
        except (ValueError, KeyError, TypeError):
            raise self._malformed() from None

    def _malformed(self) -> LeaseError:
        return LeaseError(
            f"Redis key {self._key} holds something that is no writer lease: delete it "
            f"(`redis-cli DEL '{self._key}'`), and give wetstream a database of its own (redis.url) if something else "
            "writes to this one"
        )

    def _renew(self) -> None:
        while not self._ended.wait(self._lease_ms / 4000):
            try:
                held = self._swap(self._value)
            except RedisError:
                continue  # the writer itself notices that Redis is away
            except LeaseError:
                held = MALFORMED
            if held and not self._ended.is_set():
                self._lost_to = held
                return
