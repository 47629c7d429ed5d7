"""Trains a model in processes that are killed at random moments, until one gets to the end.

    python -m tests.topicmodels.killed HOME NAME KILLS SEED

The processes are forked from one that has loaded and compiled everything, so that a kill hits the training itself.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import wetstream
from topicmodels.lda.inference import warm_up
from topicmodels.store import TRAINING, ModelStore
from wetstream.pipeline.topics import training

OPTIONS = {"topics": 8, "passes": 6, "batch_size": 100, "min_df": 2}


def main(home: str, name: str, kills: int, seed: int) -> None:
    training.CHECKPOINT_S = 0.0  # after every mini-batch
    warm_up()
    rng, done = random.Random(seed), 0
    checkpoint = Path(home) / "topics" / "main" / name / TRAINING
    while True:
        before = written(checkpoint)
        child = os.fork()
        if child == 0:
            wetstream.Pipeline("main", home=home).topics.train(name, **OPTIONS)
            os._exit(0)
        if done >= kills:
            _, status = os.waitpid(child, 0)
            assert status == 0
            break
        # Not before it has come further than the one before it, so that each kill is in the middle of the training.
        while written(checkpoint) == before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.03))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        done += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status):  # it came to the end: once more from the beginning
            ModelStore(Path(home) / "topics" / "main").drop(name)
    print(done, "kills", flush=True)


def written(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
