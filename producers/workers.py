"""Several sources at the same time: a process each, because one process is bound to one core.

A worker that dies takes nothing with it: its open transaction is aborted by whoever takes its source next.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from multiprocessing.util import Finalize
from typing import Any

from conf.addresses import BootstrapServers
from conf.settings import Settings
from producers.ingest import Ingester
from producers.report import Note, Outcome, OutcomeState, SourceProgress
from producers.sources.follow import Follower
from producers.sources.pace import shared_pace_memory, use_shared_pace
from producers.sources.source import Source
from producers.sources.urls import redact
from producers.topic.topics import Topics
from producers.worker_process import exit_with_parent, leave_signals_to_parent

STOP = None
POLL_S = 0.25


def ingest_all(
    settings: Settings,
    bootstrap_servers: BootstrapServers,
    topics: Topics,
    sources: Sequence[Source],
    *,
    allow_copies: bool = False,
    stop: threading.Event | None = None,
    follower: Follower | None = None,
) -> Iterator[SourceProgress | Note | Outcome]:
    """Ingest `sources`, yielding progress as it comes and one Outcome a source.

    Sources that failed are tried once more at the end. When `stop` is set, workers end at their next transaction
    boundary, and sources not begun are left out. With a `follower` it goes on with what that finds, until stopped.
    """
    stop = stop or threading.Event()
    waiting, again = deque(source for source in sources if source.problem is None), deque[Source]()
    failed: dict[str, Outcome] = {}
    count = settings.producer.workers or os.cpu_count() or 1
    workers = _WorkerPool(settings, bootstrap_servers, topics, allow_copies, count)
    next_poll = 0.0
    try:
        for source in sources:
            if source.problem is not None:
                yield Outcome(source.id, OutcomeState.FAILED, source.problem)
        while True:
            if stop.is_set():
                workers.stop()
                waiting.clear()
                again.clear()
            elif follower is not None and time.monotonic() >= next_poll:
                waiting.extend(follower.poll())
                next_poll = time.monotonic() + settings.producer.follow_poll_s
            while workers.free and (waiting or again):
                workers.assign((waiting or again).popleft())
            if not workers.busy:
                if follower is None or stop.is_set():
                    return
                stop.wait(POLL_S)
            for source, event in workers.events():
                if isinstance(event, Outcome):
                    if event.state is OutcomeState.FAILED and source.id not in failed and not stop.is_set():
                        failed[source.id] = event
                        again.append(source)
                        yield Note(source.id, f"{event.message}; it is tried again at the end")
                        continue
                    if source.id in failed:
                        event = event.after(failed.pop(source.id))
                    if follower is not None:
                        follower.record_outcome(event)
                yield event
    finally:
        workers.end()


class _WorkerPool:
    """The processes, made when they are needed, and what each is at."""

    def __init__(self, settings: Settings, *arguments: Any) -> None:
        *given, self._most = arguments
        # Forked from a server that has imported everything once, has no threads and holds no connection.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["producers.fork_server", "producers.workers"])
        self._stop = self._context.Event()
        self._arguments = (settings, *given, self._stop, shared_pace_memory(self._context))
        self._join_timeout_s = settings.producer.retry_s
        self._idle: list[tuple[Connection, ForkServerProcess]] = []
        self._busy: dict[Connection, tuple[ForkServerProcess, Source]] = {}

    @property
    def free(self) -> bool:
        return len(self._busy) < self._most

    @property
    def busy(self) -> bool:
        return bool(self._busy)

    def assign(self, source: Source) -> None:
        pipe, process = self._idle.pop() if self._idle else self._start()
        self._busy[pipe] = (process, source)
        try:
            pipe.send(source)
        except OSError:
            return  # it has died; `events` finds its pipe closed

    def events(self) -> Iterator[tuple[Source, SourceProgress | Note | Outcome]]:
        """What has come from the workers, waiting a moment for it."""
        for ready in wait(list(self._busy), timeout=POLL_S) if self._busy else ():
            assert isinstance(ready, Connection)
            process, source = self._busy[ready]
            try:
                event: Any = ready.recv()
            except (EOFError, ConnectionError):
                process.join()
                event = Outcome(
                    source.id, OutcomeState.FAILED, f"{source.id}: its worker process died ({process.exitcode})"
                )
                ready.close()
                del self._busy[ready]
            else:
                if isinstance(event, Outcome):
                    del self._busy[ready]
                    self._idle.append((ready, process))
            yield source, event

    def stop(self) -> None:
        """Let them end at their next transaction."""
        self._stop.set()

    def end(self) -> None:
        """Let them end, and wait for it."""
        self._stop.set()
        everyone = [*self._idle, *((pipe, process) for pipe, (process, _) in self._busy.items())]
        for pipe, _ in everyone:
            try:
                pipe.send(STOP)
            except OSError:
                continue
        for _, process in everyone:
            process.join(timeout=self._join_timeout_s)
            if process.is_alive():
                process.kill()

    def _start(self) -> tuple[Connection, ForkServerProcess]:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(there, *self._arguments), daemon=True)
        process.start()
        # At exit multiprocessing would send SIGTERM, which workers ignore, and wait.
        Finalize(process, process.kill, exitpriority=1)
        there.close()
        return here, process


class _ParentGoneError(BaseException):
    """Nobody listens any more: the worker ends, and what is not committed is aborted by the next producer."""


def _work(
    pipe: Connection,
    settings: Settings,
    bootstrap_servers: BootstrapServers,
    topics: Topics,
    allow_copies: bool,
    stop: threading.Event,
    pace_memory: Any,
) -> None:
    """Body of a worker process: sources come in, progress and outcomes go out."""
    leave_signals_to_parent()
    exit_with_parent()
    use_shared_pace(pace_memory)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # its retries are ours to report
    lock = threading.Lock()

    def tell(event: SourceProgress | Note | Outcome) -> None:
        try:
            with lock:  # notes come from the thread that reads a remote source
                pipe.send(event)
        except OSError:
            raise _ParentGoneError from None

    ingester = Ingester(
        settings,
        bootstrap_servers,
        topics,
        allow_copies=allow_copies,
        on_event=tell,
        should_stop=stop.is_set,
    )
    try:
        while (source := pipe.recv()) is not STOP:
            try:
                outcome = ingester.ingest(source)
            except Exception as error:  # a mistake of ours in one source must not end the others
                logging.getLogger("wetstream").debug("ingesting %s", source.id, exc_info=True)
                outcome = Outcome(
                    source.id, OutcomeState.FAILED, redact(f"{source.id}: {type(error).__name__}: {error}")
                )
            tell(outcome)
    except (EOFError, ConnectionResetError, _ParentGoneError):
        return
    finally:
        ingester.close()
