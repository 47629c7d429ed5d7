"""The Spark session."""

from __future__ import annotations

import os

from pyspark.sql import SparkSession

from conf.settings import load_settings


def test_the_workers_of_a_local_master_stand_back_behind_whoever_answers_queries(spark: SparkSession) -> None:
    wanted = load_settings(flags={}, environ={}).stream.niceness

    def niceness(_: int) -> int:
        return os.getpriority(os.PRIO_PROCESS, 0)

    found = spark.sparkContext.parallelize([0], 1).map(niceness).collect()
    assert wanted > 0 and found == [max(wanted, os.getpriority(os.PRIO_PROCESS, 0))]
