"""Background threads that keep the state the HTTP server answers from.

However many clients there are, Redis is read once for each change. When it does not answer, the reason is kept and the
threads keep trying, so nothing else has to recover.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from redis import Redis, RedisError

from conf.addresses import RedisServers
from conf.errors import ExplainedError
from serving.api.live_state import LiveState, SourceLedger, read_live_state
from serving.api.redis_clients import connect
from serving.atomic_read import NoStatisticsError
from serving.background import BackgroundThread, describe
from serving.top_words import TopWords, read_top_words
from serving.vocabulary_snapshot import VocabularySnapshot, read_vocabulary_snapshot

log = logging.getLogger("wetstream")

SNAPSHOT_EVERY_S = 3.0
# Snapshots of a large vocabulary, and reads with very many sources, take long: either may use this share of a core, and
# then comes less often.
SNAPSHOT_SHARE = 0.15
READ_SHARE = 0.25
UNAVAILABLE_WAIT_S = 0.5
# A read may have to wait for a large commit to Redis; a thread that is silent for longer than this hangs.
SILENT_S = 30.0


class StatisticsPoller:
    """Holds the last `state` and `snapshot`, and calls `on_change` in its thread when the state has changed.

    Args:
        find: Returns the Redis to use now; called again after each failure, because an embedded server may
            come back on another port.
        pipeline: Name of the pipeline.
        sources: What the producers report.
        refresh_s: Seconds between two reads.
    """

    def __init__(
        self, find: Callable[[], RedisServers], pipeline: str, sources: SourceLedger, *, refresh_s: float = 0.25
    ) -> None:
        self._find = find
        self.pipeline = pipeline
        self._sources = sources
        self._refresh_s = refresh_s
        self._client: Redis | None = None
        self._servers: RedisServers | None = None
        self.state = LiveState()
        self.snapshot: VocabularySnapshot | None = None
        self._top_words: tuple[str, TopWords] | None = None
        self._top_words_lock = threading.Lock()
        self._top_words_wanted = False
        self.on_change: list[Callable[[LiveState], None]] = []
        self._reader = BackgroundThread("reading the statistics from Redis", self._read)
        self._copier = BackgroundThread("copying the vocabulary from Redis", self._copy)

    def start(self) -> None:
        """Read once, so that the first requests are answered, and start both threads."""
        with suppress(Exception):  # the thread repeats it at once, and reports what is wrong
            self._read()
        self._reader.start()
        self._copier.start()

    def stop(self) -> None:
        """End both threads."""
        for thread in (self._reader, self._copier):
            thread.stop()

    @property
    def problem(self) -> str:
        """Why the numbers cannot be relied on now; empty if they can."""
        state = self.state
        if state.unavailable or state.missing:
            return state.unavailable or state.missing
        for thread in (self._reader, self._copier):
            if thread.failure:
                return f"{thread.name} failed: {thread.failure}"
        if self._reader.silent_s > SILENT_S:
            return f"the statistics were last read {self._reader.silent_s:.0f} s ago"
        return ""

    @property
    def copy_failure(self) -> str:
        """Why the vocabulary can no longer be copied; empty if it can."""
        return self._copier.failure

    @property
    def servers(self) -> RedisServers:
        """The Redis that answers now. Raises RedisError when none does."""
        if self._client is None or self._servers is None:
            raise RedisError(self.state.unavailable)
        return self._servers

    def top_words_at_hand(self, state: LiveState) -> TopWords | None:
        """Return the ranked words if they were read with this state; the next read will include them."""
        self._top_words_wanted = True
        if state.top_words is None and self._top_words is not None and state.aggregates is not None:
            version, top_words = self._top_words
            return top_words if version == state.aggregates.instant.version else None
        return state.top_words

    def read_top_words(self, version: str) -> TopWords:
        """Return the ranked words, read once for each version however many clients ask. Raises RedisError."""
        with self._top_words_lock:
            if self._top_words is None or self._top_words[0] != version:
                if self._client is None:
                    raise RedisError(self.state.unavailable)
                aggregates = self.state.aggregates
                keys = aggregates.keys if aggregates else None
                self._top_words = version, read_top_words(self._client, self.pipeline, keys)
            return self._top_words[1]

    def _read(self) -> float:
        """Read Redis once. Returns the seconds until the next time."""
        worked = time.thread_time()
        old = self.state
        try:
            new = self._read_state(old)
        except NoStatisticsError as error:
            new = LiveState(version="missing", missing=str(error), unavailable="")
        except ExplainedError as error:
            new = _failed(old, str(error))
        except (RedisError, OSError) as error:
            self._client = None
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            new = _failed(old, f"Redis does not answer: {reason}")
        except Exception as error:
            # A fault of ours: old numbers must not pass for new ones. The thread reports it and tries again.
            self._client = None
            self._publish(old, _failed(old, f"the statistics cannot be read: {describe(error)}"))
            raise
        self._publish(old, new)
        if new.unavailable:
            return UNAVAILABLE_WAIT_S
        return max(self._refresh_s, (time.thread_time() - worked) / READ_SHARE)

    def _read_state(self, old: LiveState) -> LiveState:
        if self._client is None:
            self._servers = self._find()
            self._client = connect(self._servers, self.pipeline)
        with_top_words, self._top_words_wanted = self._top_words_wanted, False
        new = read_live_state(
            self._client,
            self.pipeline,
            self._sources,
            old,
            snapshot_taken=self.snapshot.taken if self.snapshot else None,
            with_top_words=with_top_words,
        )
        if new is old and with_top_words:
            self._top_words_wanted = True
        return new

    def _publish(self, old: LiveState, new: LiveState) -> None:
        if (new.version, new.unavailable) == (old.version, old.unavailable):
            return
        if bool(new.unavailable) != bool(old.unavailable):
            new = replace(new, since=time.time())
            if old.version:
                log.warning(new.unavailable or "the statistics can be read again")
        self.state = new
        for listener in self.on_change:
            listener(new)

    def _copy(self) -> float:
        """Take a snapshot if the numbers have changed since the last one. Returns the seconds until the next time."""
        state, client = self.state, self._client
        if state.aggregates is None or state.unavailable or client is None:
            return 0.2
        if self.snapshot is not None and _is_current(self.snapshot, state):
            return 0.5
        worked = time.thread_time()
        try:
            snapshot = read_vocabulary_snapshot(client, self.pipeline)
        except (RedisError, NoStatisticsError):
            return SNAPSHOT_EVERY_S  # the other thread finds out and says so
        snapshot.prepare()
        self.snapshot = snapshot
        return max(SNAPSHOT_EVERY_S, (time.thread_time() - worked) / SNAPSHOT_SHARE)


def _failed(old: LiveState, reason: str) -> LiveState:
    return replace(old, unavailable=reason, version=f"unavailable: {reason}")


def _is_current(snapshot: VocabularySnapshot, state: LiveState) -> bool:
    assert state.aggregates is not None
    copied, live = snapshot.instant.as_of, state.aggregates.instant.as_of
    same = (copied["positions"], copied["time"]) == (live["positions"], live["time"])
    return snapshot.settled and same and not live["applying"]
