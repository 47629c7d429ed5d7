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
from typing import Any, cast

import psutil
from redis import Redis, RedisError

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


class LeaseError(ExplainedError):
    """Another writer holds the lease; the message says which."""


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
            LeaseError: Another writer holds it.
        """
        held = self._swap("")
        if held and _is_gone(json.loads(held)):
            held = self._swap(held)
        if held:
            raise LeaseError(_describe(held))
        threading.Thread(target=self._renew, name="wetstream-lease", daemon=True).start()

    def check(self) -> None:
        """Check that the lease is still held.

        Raises:
            LeaseError: Another writer has taken it.
        """
        if self._lost_to is not None:
            raise LeaseError(_describe(self._lost_to))

    def release(self) -> None:
        """Release the lease."""
        self._ended.set()
        try:
            self._client.eval(RELEASE, 1, self._key, self._value)
        except RedisError:
            return  # Redis is away; the lease will expire

    def _swap(self, expected: str) -> str:
        held = cast("Any", self._client.eval(SWAP, 1, self._key, expected, self._value, str(self._lease_ms)))
        return held.decode() if isinstance(held, bytes) else str(held)

    def _renew(self) -> None:
        while not self._ended.wait(self._lease_ms / 4000):
            try:
                held = self._swap(self._value)
            except RedisError:
                continue  # the writer itself notices that Redis is away
            if held and not self._ended.is_set():
                self._lost_to = held
                return


def _is_gone(holder: dict[str, Any]) -> bool:
    if holder["host"] != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(holder["pid"]).create_time() - holder["process_started"]) > 1
    except psutil.NoSuchProcess:
        return True


def _describe(held: str) -> str:
    holder = json.loads(held)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder["since"]))
    return (
        f"another writer has this pipeline: process {holder['pid']} on {holder['host']}, since {since}. "
        "Stop it first, or give this one another --pipeline"
    )
