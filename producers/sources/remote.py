"""Remote sources as files: streamed in ranges, never whole in memory, resumed where a connection broke."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Protocol

from conf.settings import ProducerSettings
from producers.sources.files import EDGE_BYTES
from producers.sources.retry import NoRangesError, Retrier
from producers.sources.stores import StoreObject
from producers.sources.urls import is_web, origin, public_url
from producers.sources.web import WebObject

FIRST_BYTES = 1 << 18
BLOCK_BYTES = 1 << 22
KEPT_BLOCKS = 3
WAIT_S = 0.2


class RemoteObject(Protocol):
    """A file on a server, without retries. Every method raises what its library raises."""

    ranges: bool
    """Whether the server has byte ranges; known after `size`."""

    def size(self) -> int:
        """Return the size in bytes."""

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to `end`, exactly."""

    def stream(self, begin: int, end: int) -> bytes:
        """Return the same, of a server without ranges: by reading on, or again from the front."""

    def close(self) -> None:
        """Close connections that are open."""


def open_object(url: str, settings: ProducerSettings, *, confined: bool = False) -> RemoteObject:
    """Return the object at a URL; nothing is asked of its server yet. Raises StoreError."""
    if is_web(url):
        allowed = settings.allow_foreign_sources
        return WebObject(url, settings.source_timeout_s, confined=confined and not allowed, allow_internal=allowed)
    return StoreObject(url, settings)


class RemoteFile:
    """A remote object as a file: a position, retries, and reads that can be interrupted.

    Reads run in a thread of their own, so that ingestion can commit, or stop, while a server keeps it waiting.
    """

    def __init__(
        self,
        url: str,
        settings: ProducerSettings,
        on_note: Callable[[str], None],
        on_wait: Callable[[], None],
        *,
        confined: bool = False,
    ) -> None:
        self.on_wait = on_wait
        self._object = open_object(url, settings, confined=confined)
        self._stop = threading.Event()
        self._retrier = Retrier(public_url(url), str(origin(url)), settings.source_retry_s, on_note, self._stop)
        self._thread = _DaemonThread("wetstream-remote")
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._ahead: tuple[int, Future[bytes]] | None = None
        self._next_bytes = FIRST_BYTES
        self._end = -1
        try:
            self.size: int = self._wait(self._call(self._object.size, "its size", proves_access=is_web(url)))
            self.random_access = self._object.ranges
            if self.random_access and not is_web(url):
                # The tail is needed for the fingerprint; read here, it shows whether there are ranges at all.
                self._position = max(0, self.size - EDGE_BYTES)
                self._probe_ranges()
                self._position = 0
        except BaseException:
            self.close()
            raise
        if not self.random_access:
            on_note(
                f"{public_url(url)}: the server gives no byte ranges: the file is read from its front, also to resume, "
                "and recognised by its size and beginning only"
            )

    def __enter__(self) -> RemoteFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a byte offset (whence 1: from here, 2: from the end); return it."""
        self._position = max(0, offset + (self.size if whence == 2 else self._position if whence == 1 else 0))
        return self._position

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes from the position on, fewer only at the end. Raises SourceReadError."""
        parts = []
        size = min(size, self.size - self._position)
        while size > 0:
            part = self._some(size)
            parts.append(part)
            size -= len(part)
            self._position += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close connections; a read that is under way ends in the background."""
        self._stop.set()
        self._thread.submit(self._object.close)
        self._thread.end()

    def _probe_ranges(self) -> None:
        try:
            self.read(1)
        except NoRangesError:
            self.random_access = False

    def _some(self, size: int) -> bytes:
        """At least one byte from the position on, at most `size`: of a block that is kept, or of a new one."""
        at = self._position
        for start, block in self._blocks.items():
            if start <= at < start + len(block):
                self._blocks.move_to_end(start)
                return block[at - start : at - start + size]
        block = self._load(at)
        self._blocks[at] = block
        if len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return block[:size]

    def _load(self, at: int) -> bytes:
        """The block from `at` on. Blocks grow while reading goes straight on, and the next one is read ahead."""
        straight = at == self._end
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == at:
            future = ahead[1]
        else:
            if ahead is not None:
                ahead[1].cancel()
            if not straight:
                self._next_bytes = FIRST_BYTES
            future = self._submit(at)
        block: bytes = self._wait(future)
        self._end = at + len(block)
        if straight and self._end < self.size:
            self._next_bytes = min(2 * self._next_bytes, BLOCK_BYTES)
            self._ahead = (self._end, self._submit(self._end))
        return block

    def _submit(self, at: int) -> Future[bytes]:
        end = min(at + self._next_bytes, self.size)
        read = self._object.read if self.random_access else self._object.stream
        return self._call(lambda: read(at, end), f"bytes {at:,} to {end:,}")

    def _call(self, operation: Callable[[], Any], what: str, *, proves_access: bool = True) -> Future[Any]:
        return self._thread.submit(lambda: self._retrier.call(operation, what, proves_access=proves_access))

    def _wait(self, future: Future[Any]) -> Any:
        while True:
            try:
                return future.result(timeout=WAIT_S)
            except TimeoutError:
                if future.done():
                    raise
                self.on_wait()


class _DaemonThread:
    """One thread that runs calls in their order.

    In place of a ThreadPoolExecutor, whose threads the interpreter joins when it exits: a server that is silent for
    `producer.source_timeout_s` would hold up a process that was asked to stop for as long.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Queue a call; return the future of its result. It can be cancelled until it starts."""
        future: Future[Any] = Future()
        self._calls.put((future, call))
        return future

    def end(self) -> None:
        """Let the thread end after the calls that were submitted; does not wait."""
        self._calls.put(None)

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            future, call = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            del item, future, call
