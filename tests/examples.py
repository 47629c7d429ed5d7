"""How many examples a property gets: few in `make test`, many in `make fuzz`."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

FACTOR = int(os.environ.get("WETSTREAM_EXAMPLES", "1"))


def examples(number: int, **options: Any) -> settings:
    """Settings with so many examples, times the factor of a fuzzing run; no deadline."""
    return settings(max_examples=number * FACTOR, **{"deadline": None, **options})
