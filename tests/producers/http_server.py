"""A real HTTP server on loopback that serves a folder with ranges, and fails as it is told to."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Server:
    """Serves `folder`; GET requests take the `faults` in their order.

    A fault is "" for none, a status ("503"; "429 7" with a Retry-After), "reset", "short", "less", "stall", "whole"
    (the whole file in place of a range) or "other" (another range than the one asked for).

    Attributes:
        silent_from: Requests for bytes from there on (but the last ones) are answered half and then stall.
        ranges: True; False (it says so); or "ignored" (it gives the whole file for every range without saying).
        headers: Sent with every answer.
        redirects: Where paths are redirected to.
        asked: Time and path of every request.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults: Iterator[str] = iter(())
        self.silent_from: int | None = None
        self.ranges: bool | str = True
        self.seen: Counter[str] = Counter()
        self.headers: dict[str, str] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[tuple[float, str]] = []
        self.requested: list[tuple[int, int]] = []
        self.lock = threading.Lock()
        self.go_on = threading.Event()
        self.url = ""

    def fault(self) -> str:
        with self.lock:
            return next(self.faults, "")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Server

    def log_message(self, *words: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        script = self.script
        script.asked.append((time.monotonic(), self.path))
        if (target := script.redirects.get(urlsplit(self.path).path)) is not None:
            self.send_response(302)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path = script.folder / unquote(urlsplit(self.path).path).lstrip("/")
        if not path.is_file():
            self.refuse(404)
            return
        fault = script.fault() if body else ""
        if fault[:3].isdecimal():
            script.seen[fault[:3]] += 1
            self.refuse(int(fault[:3]), fault[4:])
            return
        data = path.read_bytes()
        begin, end = 0, len(data)
        asked = self.headers.get("Range")
        partial = bool(asked) and script.ranges is True and fault != "whole"
        if fault in ("whole", "other"):
            script.seen[fault] += 1
        if asked and partial:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last) + 1 if last else len(data), len(data))
        if fault == "other" and begin:
            begin, end = begin - 1, end - 1
        part = data[begin:end]
        if script.silent_from is not None and script.silent_from <= begin and end < len(data):
            fault = "stall"
        if fault == "less":
            # Not broken off, but fewer bytes than were asked for.
            script.seen[fault] += 1
            part = part[: len(part) // 2]
            end = begin + len(part)
        self.send_response(206 if partial else 200)
        for name, value in script.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(part)))
        if script.ranges is not True and script.ranges is not False:
            pass
        else:
            self.send_header("Accept-Ranges", "bytes" if script.ranges else "none")
        if partial:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        self.end_headers()
        if not body:
            return
        script.requested.append((begin, end))
        if fault == "stall":
            script.seen[fault] += 1
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            script.go_on.wait(30)
            part = part[len(part) // 2 :]
        if fault in ("reset", "short"):
            script.seen[fault] += 1
            part = part[: len(part) // 3]
            self.close_connection = True
        try:
            self.wfile.write(part)
            if fault == "reset":
                self.wfile.flush()
                time.sleep(0.02)
                self.connection.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SO_LINGER 0: close with a reset
                self.connection.close()
        except OSError:
            self.close_connection = True

    def refuse(self, status: int, retry_after: str = "") -> None:
        self.send_response(status)
        if status == 429 or retry_after:
            self.send_header("Retry-After", retry_after or "0")
        self.send_header("Content-Length", "0")
        self.end_headers()


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *request: object) -> None:
        """A client that has gone is no news here."""


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    script = Server(folder)
    handler = type("ScriptedHandler", (Handler,), {"script": script})
    server = Quiet(("127.0.0.1", 0), handler)
    script.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        script.go_on.set()
        server.shutdown()
        server.server_close()
