"""Several sources at the same time: a process each, because one process is bound to one core.

A worker that dies takes nothing with it: its open transaction is aborted by whoever takes its source next.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from conf.settings import Settings
from producers.ingest import Ingester
from producers.report import Advance, Note, Outcome
from producers.source import Source
from producers.topics import Topic

STOP = None
POLL_S = 0.25


def ingest_all(
    settings: Settings,
    bootstrap_servers: str,
    topics: tuple[Topic, Topic],
    sources: Sequence[Source],
    *,
    allow_copies: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[Advance | Note | Outcome]:
    """Ingest `sources`, yielding progress as it comes and one Outcome a source.

    Sources that failed are tried once more at the end. When `stop` is set, workers end at their next transaction
    boundary, and sources not begun are left out.
    """
    context = multiprocessing.get_context("spawn")
    waiting = deque(sources)
    again: deque[Source] = deque()
    tried: set[str] = set()
    workers: dict[Connection, tuple[SpawnProcess, Source]] = {}
    stop = stop or threading.Event()
    stop_workers = context.Event()
    count = min(settings.producer.workers or os.cpu_count() or 1, max(1, len(sources)))
    arguments = (settings, bootstrap_servers, topics, allow_copies, stop_workers)

    def start() -> tuple[Connection, SpawnProcess]:
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, *arguments), daemon=True)
        process.start()
        there.close()
        return here, process

    idle = [start() for _ in range(count)] if sources else []
    try:
        while True:
            if stop.is_set():
                stop_workers.set()
                waiting.clear()
                again.clear()
            while idle and (waiting or again):
                pipe, process = idle.pop()
                source = (waiting or again).popleft()
                workers[pipe] = (process, source)
                pipe.send(source)
            if not workers:
                return
            for ready in wait(list(workers), timeout=POLL_S):
                assert isinstance(ready, Connection)
                pipe = ready
                process, source = workers[pipe]
                try:
                    event: Any = pipe.recv()
                except (EOFError, ConnectionError):
                    process.join()
                    event = Outcome(source.id, "failed", f"{source.id}: its worker process died ({process.exitcode})")
                    pipe.close()
                    del workers[pipe]
                    idle.append(start())
                else:
                    if isinstance(event, Outcome):
                        del workers[pipe]
                        idle.append((pipe, process))
                if _failed(event) and source.id not in tried and not stop.is_set():
                    tried.add(source.id)
                    again.append(source)
                    continue
                yield event
    finally:
        stop_workers.set()
        for pipe, _ in [*idle, *((pipe, process) for pipe, (process, _) in workers.items())]:
            try:
                pipe.send(STOP)
            except OSError:
                continue
        for _, process in [*idle, *((pipe, process) for pipe, (process, _) in workers.items())]:
            process.join(timeout=settings.producer.retry_s)
            if process.is_alive():
                process.kill()


def _failed(event: Advance | Note | Outcome) -> bool:
    return isinstance(event, Outcome) and event.state == "failed"


def _work(
    pipe: Connection,
    settings: Settings,
    bootstrap_servers: str,
    topics: tuple[Topic, Topic],
    allow_copies: bool,
    stop: threading.Event,
) -> None:
    """Body of a worker process: sources come in, progress and outcomes go out."""
    # Ctrl-C reaches the whole process group; the parent decides what it means, at a transaction boundary.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ingester = Ingester(
        settings,
        bootstrap_servers,
        topics,
        allow_copies=allow_copies,
        on_event=pipe.send,
        should_stop=stop.is_set,
    )
    try:
        while (source := pipe.recv()) is not STOP:
            pipe.send(ingester.ingest(source))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone; what was committed stands, the rest is aborted by the next producer
    finally:
        ingester.close()
