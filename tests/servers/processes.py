"""What the tests of the servers share."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import redis

from wetstream.servers.ports import choose_port
from wetstream.servers.redis_server import find_redis


def quiet(_line: str) -> None:
    """Where a test does not look at the log."""


def end_everything_below(folder: Path) -> None:
    """End by pid what works in this folder; records may be missing, since tests remove them."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or []):
            process.kill()
            process.wait(10)


@contextmanager
def outside_redis(folder: Path, *options: str) -> Iterator[str]:
    """URL of a Redis that is not ours: every command is allowed, and it asks for no password unless told."""
    port = choose_port()
    folder.mkdir(parents=True, exist_ok=True)
    defaults = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "yes")
    command = [str(find_redis().path), *defaults, *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    with redis.Redis(port=port) as client:
                        client.ping()
                    break
                except redis.AuthenticationError:
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline and server.poll() is None
                    time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()
