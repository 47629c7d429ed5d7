"""The embedded servers and the checks of `doctor` on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from conf.settings import Settings
from wetstream.commands.terminal.output import Terminal, table
from wetstream.commands.terminal.text import size
from wetstream.servers.check import Check
from wetstream.servers.status import ServerStatus

_MARKS = {"ok": ("✓", "+", "green"), "warn": ("!", "!", "yellow"), "fail": ("✗", "x", "red")}


def show_servers(console: Terminal, rows: Sequence[ServerStatus], settings: Settings) -> None:
    """Show the embedded servers, and which servers are configured in their place."""
    configured = {"kafka": settings.kafka.bootstrap_servers, "redis": str(settings.redis.url)}
    shown = table("server", "state", "address", right=("pid", "up for", "memory", "data"), wrapped=2)
    for row in rows:
        figures = [
            "" if row.pid is None else str(row.pid),
            "" if row.uptime_s is None else f"{row.uptime_s / 60:,.1f} min",
            "" if row.memory_mb is None else f"{row.memory_mb:,.0f} MB",
            size(row.data_bytes),
        ]
        address = "" if row.port is None else f"127.0.0.1:{row.port}"
        if configured.get(row.name):
            shown.add_row(row.name, "configured", configured[row.name])
        shown.add_row(row.name, row.state, address, *figures)
    console.print(shown)
    console.line(f"state directory {settings.home}", "dim")


def show_checks(console: Terminal, checks: Sequence[Check]) -> None:
    """Show a line for each check, and one for its remedy."""
    width = max((len(check.name) for check in checks), default=0)
    plain = not console.encoding.startswith("utf")
    for check in checks:
        mark, ascii_mark, colour = _MARKS[check.level]
        console.parts((ascii_mark if plain else mark, colour), (f" {check.name:<{width}}  {check.detail}", ""))
        if check.remedy:
            console.line(f"  {'':<{width}}  -> {check.remedy}", colour)
