"""A worker in a call of C code that lets no other thread run: `python -m tests.producers.long_call` prints its pid."""

from __future__ import annotations

import multiprocessing
import os
import time

from producers.worker_process import exit_with_parent


def work(pipe: object) -> None:
    exit_with_parent()
    pipe.send(os.getpid())  # type: ignore[attr-defined]
    sum(range(10**13))


if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    context.Process(target=work, args=(there,), daemon=True).start()
    print(here.recv(), flush=True)
    time.sleep(600)
