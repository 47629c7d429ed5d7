"""Remote sources as files: streamed in ranges, never whole in memory, read on where a connection broke."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from types import TracebackType
from typing import Any

from conf.settings import ProducerSettings
from producers.sources.files import SourceReadError
from producers.sources.fingerprint import EDGE_BYTES
from producers.sources.retry import NoRangesError, Retrier
from producers.sources.stores import open_store
from producers.sources.urls import public_url

FIRST_BYTES = 1 << 18
BLOCK_BYTES = 1 << 22
KEPT_BLOCKS = 3
WAIT_S = 0.2


class _Remote:
    """What both kinds of remote files have: a position, retries, and reads that can be interrupted."""

    def __init__(
        self, url: str, settings: ProducerSettings, on_note: Callable[[str], None], on_wait: Callable[[], None]
    ) -> None:
        self.on_wait = on_wait
        self._fs, self._path = open_store(url, settings)
        self._stop = threading.Event()
        self._retrier = Retrier(public_url(url), settings.source_retry_s, on_note, self._stop)
        # Reads happen beside the ingestion, so that it can commit (and stop) while a server keeps it waiting.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wetstream-remote")
        self._position = 0
        look = self._thread.submit(self._retrier.call, lambda: self._fs.info(self._path), "its size", a_read=False)
        try:
            self._info: dict[str, Any] = self._wait(look)
        except BaseException:
            self.close()
            raise
        if not isinstance(self._info.get("size"), int):
            raise SourceReadError("the server does not tell its size: download it and ingest the file")
        self.size: int = self._info["size"]

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._position = max(0, offset + (self.size if whence == 2 else self._position if whence == 1 else 0))
        return self._position

    def read(self, size: int, /) -> bytes:
        parts = []
        size = min(size, self.size - self._position)
        while size > 0:
            part = self._some(size)
            parts.append(part)
            size -= len(part)
            self._position += len(part)
        return b"".join(parts)

    def _some(self, size: int) -> bytes:
        """At least one byte from the position on, at most `size`."""
        raise NotImplementedError

    def _wait(self, future: Future[Any]) -> Any:
        while True:
            try:
                return future.result(timeout=WAIT_S)
            except TimeoutError:
                if future.done():
                    raise
                self.on_wait()

    def close(self) -> None:
        self._stop.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RangeFile(_Remote):
    """A remote file whose store gives ranges: blocks that grow while reading goes straight on, the next one ahead.

    Holds four blocks of 4 MiB at most. A block that breaks off is asked for again.
    """

    random_access = True

    def __init__(
        self, url: str, settings: ProducerSettings, on_note: Callable[[str], None], on_wait: Callable[[], None]
    ) -> None:
        super().__init__(url, settings, on_note, on_wait)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._ahead: tuple[int, Future[bytes]] | None = None
        self._next_bytes = FIRST_BYTES
        self._end = -1
        try:
            if self._info.get("partial") is False:
                raise NoRangesError("the server gives no byte ranges")
            # The tail is needed for the fingerprint; asked for here, it shows whether there are ranges at all.
            self.seek(max(0, self.size - EDGE_BYTES))
            self.read(1)
            self.seek(0)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RangeFile:
        return self

    def _some(self, size: int) -> bytes:
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
        return self._thread.submit(self._retrier.call, lambda: self._fetch(at, end), f"bytes {at:,} to {end:,}")

    def _fetch(self, start: int, end: int) -> bytes:
        with self._fs.open(self._path, "rb", cache_type="none", size=self.size) as file:
            file.seek(start)
            block: bytes = file.read(end - start)
        if len(block) != end - start:
            raise ConnectionError(f"{len(block):,} of {end - start:,} bytes came")
        return block


class StreamFile(_Remote):
    """A remote file whose server gives no ranges: read from the front, and again from the front to go back or on.

    So resuming, and every broken connection, costs reading up to that place once more.
    """

    random_access = False

    def __init__(
        self, url: str, settings: ProducerSettings, on_note: Callable[[str], None], on_wait: Callable[[], None]
    ) -> None:
        super().__init__(url, settings, on_note, on_wait)
        self._stream: Any = None
        self._stream_at = 0
        self._head = b""

    def __enter__(self) -> StreamFile:
        return self

    def _some(self, size: int) -> bytes:
        at = self._position
        if at < len(self._head):
            return self._head[at : at + size]
        part: bytes = self._wait(
            self._thread.submit(self._retrier.call, lambda: self._fetch(at, min(size, FIRST_BYTES)), f"byte {at:,}")
        )
        return part

    def _fetch(self, at: int, size: int) -> bytes:
        try:
            if self._stream is None or self._stream_at > at:
                self._drop()
                self._stream = self._fs.open(self._path, "rb", block_size=0)
            while True:
                part: bytes = self._stream.read(
                    size if self._stream_at == at else min(at - self._stream_at, FIRST_BYTES)
                )
                if not part:
                    raise ConnectionError(f"it ended after {self._stream_at:,} of {self.size:,} bytes")
                begin, self._stream_at = self._stream_at, self._stream_at + len(part)
                if begin == len(self._head) and begin < FIRST_BYTES:
                    self._head += part
                if begin == at:
                    return part
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        stream, self._stream, self._stream_at = self._stream, None, 0
        if stream is not None:
            stream.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._thread.submit(self._drop)
        self._stop.set()
        self._thread.shutdown(wait=False)
