"""Ingests several sources in parallel, a process each, since one Python process uses one core.

A worker that dies loses nothing: the next producer of its source aborts its open transaction.
"""

from __future__ import annotations

import errno
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
from conf.errors import ExplainedError
from conf.settings import Settings
from producers.ingest import Ingester
from producers.report import Note, Outcome, OutcomeState, SourceProgress
from producers.sources.follow import Follower
from producers.sources.pace import shared_pace_memory, use_shared_pace
from producers.sources.source import Source
from producers.sources.urls import redact
from producers.topic.topics import Topics
from producers.worker_process import exit_with_parent, leave_signals_to_parent, lower_priority

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
    """Ingest sources in parallel.

    Args:
        settings: `producer.workers` is the number of processes.
        bootstrap_servers: The broker.
        topics: Where records and markers go.
        sources: What to ingest, in this order.
        allow_copies: Also ingest a source whose content is ingested under another identity.
        stop: When set, workers stop at their next commit, and sources not yet begun are skipped.
        follower: Finds more sources until `stop` is set.

    Yields:
        Progress and notes as they come, and one Outcome for each source. A source that failed is tried once more
        after all others.
    """
    stop = stop or threading.Event()
    for source in sources:
        if source.problem is not None:
            yield Outcome(source.id, OutcomeState.FAILED, source.problem)
    count = settings.producer.workers or os.cpu_count() or 1
    workers = _WorkerPool(settings, bootstrap_servers, topics, allow_copies, count)
    try:
        waiting = deque(source for source in sources if source.problem is None)
        yield from _ingest_with(workers, waiting, stop, follower, settings.producer.follow_poll_s)
    finally:
        workers.end()


def _ingest_with(
    workers: _WorkerPool,
    waiting: deque[Source],
    stop: threading.Event,
    follower: Follower | None,
    poll_s: float,
) -> Iterator[SourceProgress | Note | Outcome]:
    again = deque[Source]()
    failed: dict[str, Outcome] = {}
    next_poll = 0.0
    while True:
        if stop.is_set():
            workers.stop()
            waiting.clear()
            again.clear()
        elif follower is not None and time.monotonic() >= next_poll:
            waiting.extend(follower.poll())
            next_poll = time.monotonic() + poll_s
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


class WorkersError(ExplainedError):
    """No further worker process can be started; the message says why and the remedy."""


class _WorkerPool:
    """Worker processes, started on demand, and the source that each is ingesting."""

    def __init__(self, settings: Settings, *arguments: Any) -> None:
        *given, self._most = arguments
        # The fork server has imported everything once, and has neither threads nor connections.
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
        """Yield the events that workers have sent; waits up to POLL_S for the first."""
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
        """Let the workers stop at their next commit."""
        self._stop.set()

    def end(self) -> None:
        """Let the workers stop and wait for them; kill those that do not."""
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
        try:
            here, there = self._context.Pipe()
            process = self._context.Process(target=_work, args=(there, *self._arguments), daemon=True)
            process.start()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            raise WorkersError(
                f"too many open files to start worker {len(self._busy) + len(self._idle) + 1:,} of {self._most:,}: "
                "lower producer.workers (--workers), or raise the limit (`ulimit -n 4096`)"
            ) from error
        # At exit multiprocessing would send SIGTERM, which workers ignore, and wait.
        Finalize(process, process.kill, exitpriority=1)
        there.close()
        return here, process


class _ParentGoneError(BaseException):
    """The main process is gone: the worker exits, and the next producer aborts what is not committed."""


def _work(
    pipe: Connection,
    settings: Settings,
    bootstrap_servers: BootstrapServers,
    topics: Topics,
    allow_copies: bool,
    stop: threading.Event,
    pace_memory: Any,
) -> None:
    """Run a worker process: receive sources, send progress and outcomes."""
    leave_signals_to_parent()
    exit_with_parent()
    lower_priority(settings.producer.niceness)
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
