"""Clients of the live API, each in a process of its own: their work is not the server's."""

from __future__ import annotations

import multiprocessing
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import quote

import numpy as np
import psutil


def latencies(url: str, words: list[str], seconds: float, while_pid: int = 0) -> dict[str, dict[str, float]]:
    """Return p50 and p99 in ms by question, from one client that asks 50 times a second, in a process of its own.

    It asks for so many seconds at most, and only as long as the process `while_pid` runs.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_latencies, url, words, seconds, while_pid).result()


def _latencies(url: str, words: list[str], seconds: float, while_pid: int) -> dict[str, dict[str, float]]:
    taken: dict[str, list[float]] = {"stats": [], "top": [], "word": []}
    # httpx alone takes longer than the server does.
    with closing(HTTPConnection(url.removeprefix("http://"))) as client:
        client.connect()
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until = time.monotonic() + seconds
        while time.monotonic() < until and (not while_pid or runs(while_pid)):
            name = random.choice(list(taken))
            path = {"stats": "stats?min_df=2", "top": f"words/top?limit={random.randint(10, 99)}"}.get(
                name, f"words/{quote(random.choice(words), safe='')}"
            )
            began = time.perf_counter()
            client.request("GET", f"/api/v1/{path}")
            response = client.getresponse()
            response.read()
            assert response.status == 200, path
            taken[name].append((time.perf_counter() - began) * 1000)
            time.sleep(0.02)
    return {
        name: {f"p{p}_ms": round(float(np.percentile(times, p)), 2) for p in (50, 99)} | {"asked": len(times)}
        for name, times in taken.items()
    }


def runs(pid: int) -> bool:
    """Whether this process has not ended, noticed by its parent or not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def clients(url: str, number: int) -> Iterator[None]:
    """Readers of the event stream, in a process of their own: their work is not the server's."""
    code = (
        "import asyncio, httpx, sys\n"
        "async def one(c):\n"
        "    async with c.stream('GET', sys.argv[1]) as s:\n"
        "        async for _ in s.aiter_raw(): pass\n"
        "async def all():\n"
        "    limits = httpx.Limits(max_connections=1000)\n"
        "    async with httpx.AsyncClient(timeout=None, limits=limits) as c:\n"
        "        await asyncio.gather(*(one(c) for _ in range(int(sys.argv[2]))))\n"
        "asyncio.run(all())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, f"{url}/api/v1/events", str(number)])
    time.sleep(2)
    try:
        yield
    finally:
        process.kill()
        process.wait()
