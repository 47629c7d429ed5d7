"""Ingestion and streaming as a person runs them: with progress, and with an orderly end on Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from conf.profiles import Profile
from conf.settings import Settings
from producers.report import Note, Outcome, SourceProgress
from producers.sources.follow import Follower
from producers.sources.source import Source
from producers.topic.offsets import end_offsets
from producers.topic.topics import Topics, ensure_topics
from producers.workers import ingest_all
from streaming.stream import Stream
from wetstream.commands.display import Display
from wetstream.pipeline.connections import Servers
from wetstream.pipeline.spark_session import start_stream


@contextmanager
def stopping(stop: threading.Event, *more: Any) -> Iterator[None]:
    """While inside, SIGINT and SIGTERM set `stop` and call `more`; a second one ends the process at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.set()
        for call in more:
            call()

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def ingest(
    settings: Settings,
    servers: Servers,
    sources: Sequence[Source],
    display: Display,
    *,
    allow_copies: bool,
    follower: Follower | None = None,
) -> list[Outcome]:
    """Ingest the sources, with a follower also those that come; returns one outcome each, the last.

    (None for those not begun when stopped.)
    """
    stop = threading.Event()
    with stopping(stop, display.stopping):
        topics = ensure_topics(settings, servers.bootstrap_servers)
        return _ingest(settings, servers, topics, sources, display, allow_copies, stop, follower)


def run(
    settings: Settings,
    profile: Profile,
    servers: Servers,
    sources: Sequence[Source],
    display: Display,
    *,
    allow_copies: bool,
    follower: Follower | None = None,
) -> list[Outcome]:
    """Ingest the sources and stream at the same time, up to the last record; returns the outcomes.

    Raises what the stream raises. Interrupted, both end in order: the next run goes on where they stopped.
    """
    stop, writer = threading.Event(), _Writer(settings, profile, servers, display)
    with stopping(stop, display.stopping, writer.stop):
        topics = ensure_topics(settings, servers.bootstrap_servers)
        writer.start(once=False, on_error=stop.set)
        try:
            outcomes = _ingest(settings, servers, topics, sources, display, allow_copies, stop, follower)
            if not stop.is_set():
                writer.stop_at(end_offsets(servers.bootstrap_servers, topics.records))
        except BaseException:
            writer.stop()
            raise
        finally:
            writer.join()
        return outcomes


def stream(settings: Settings, profile: Profile, servers: Servers, display: Display, *, once: bool) -> None:
    """Stream until stopped, or with `once` to the end of the topic."""
    stop, writer = threading.Event(), _Writer(settings, profile, servers, display)
    with stopping(stop, display.stopping, writer.stop):
        ensure_topics(settings, servers.bootstrap_servers)
        writer.start(once=once, on_error=stop.set)
        writer.join()


def _ingest(
    settings: Settings,
    servers: Servers,
    topics: Topics,
    sources: Sequence[Source],
    display: Display,
    allow_copies: bool,
    stop: threading.Event,
    follower: Follower | None,
) -> list[Outcome]:
    outcomes: dict[str, Outcome] = {}
    events = ingest_all(
        settings,
        servers.bootstrap_servers,
        topics,
        sources,
        allow_copies=allow_copies,
        stop=stop,
        follower=follower,
    )
    for event in events:
        if isinstance(event, SourceProgress):
            display.advance(event)
        elif isinstance(event, Note):
            display.warn(event.text)
        else:
            display.outcome(event)
            outcomes[event.source] = event
    return list(outcomes.values())


class _Writer:
    """The stream in a thread of its own, so that signals find the main thread free.

    (In the main thread Spark would also put its own handler in the place of ours.) Stop requests may come before the
    stream has been made.
    """

    def __init__(self, settings: Settings, profile: Profile, servers: Servers, display: Display) -> None:
        self._arguments = (settings, profile, servers, display.progress, display.note)
        self._note = display.note
        self._stream: Stream | None = None
        self._stopped = False
        self._ends: dict[int, int] | None = None
        self._error: BaseException | None = None
        # Reentrant: a signal handler may call `stop` while this thread is in another of these methods.
        self._lock = threading.RLock()

    def start(self, *, once: bool, on_error: Callable[[], None]) -> None:
        def work() -> None:
            try:
                stream = start_stream(*self._arguments)
                if self._take(stream):
                    self._note("streaming")
                    stream.run(once=once)
            except BaseException as error:
                self._error = error
                on_error()

        self._thread = threading.Thread(target=work, name="wetstream-stream")
        self._thread.start()

    def join(self) -> None:
        """Wait for the end; raises what the stream raised."""
        # In small steps: a signal is only delivered between two of them.
        while self._thread.is_alive():
            self._thread.join(0.2)
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._stream is not None:
                self._stream.stop()

    def stop_at(self, ends: dict[int, int]) -> None:
        with self._lock:
            self._ends = ends
            if self._stream is not None:
                self._stream.stop_at(ends)

    def _take(self, stream: Stream) -> bool:
        with self._lock:
            self._stream = stream
            if self._ends is not None:
                stream.stop_at(self._ends)
            return not self._stopped
