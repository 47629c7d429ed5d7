"""Results as JSON and Markdown below bench/results/: ratios first, then what they were made of."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"
BEGAN = psutil.cpu_times()


def write(name: str, title: str, ratios: Mapping[str, float], rows: Sequence[Mapping[str, Any]], notes: str) -> None:
    """Write one benchmark's results, and print them."""
    RESULTS.mkdir(exist_ok=True)
    when = time.strftime("%Y-%m-%d")
    machine = f"{os.cpu_count()} cores{stolen()}, {platform.machine()}, Python {platform.python_version()}"
    result = {"title": title, "date": when, "machine": machine, "ratios": ratios, "rows": list(rows), "notes": notes}
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    lines = [f"# {title}", "", f"{when}, {machine}, one run. {notes}", "", "| ratio | |", "|---|---:|"]
    lines += [f"| {what} | {value:.2f} |" for what, value in ratios.items()]
    columns = list(rows[0])
    lines += ["", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_shown(row[column]) for column in columns) + " |" for row in rows]
    text = "\n".join(lines) + "\n"
    (RESULTS / f"{name}.md").write_text(text)
    print(text)


def stolen() -> str:
    """How much of the processors a host gave to others since the benchmark began; said where it can be known."""
    now = psutil.cpu_times()
    wanted = sum(now) - sum(BEGAN) - (now.idle - BEGAN.idle)
    taken = getattr(now, "steal", 0.0) - getattr(BEGAN, "steal", 0.0)
    return f" ({taken / wanted:.0%} of what they were asked for was given to others)" if taken else ""


def _shown(value: Any) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
