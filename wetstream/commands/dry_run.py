"""`wetstream ingest --dry-run`: looks at the sources and at the markers, starts and writes nothing."""

from __future__ import annotations

import os

from conf.settings import Settings
from producers.estimate import Estimate, PlannedSource, estimate, plan_all
from wetstream.commands.source_options import Wanted
from wetstream.pipeline.markers import read_markers


def plan(settings: Settings, wanted: Wanted) -> tuple[list[PlannedSource], Estimate]:
    """What would be done with each source, and the sums."""
    sources = wanted.found(settings)
    markers = read_markers(settings) or {}
    planned = list(plan_all(sources, markers, settings.producer, allow_copies=wanted.allow_copies))
    workers = settings.producer.workers or os.cpu_count() or 1
    return planned, estimate(planned, sources, settings.producer, workers)
