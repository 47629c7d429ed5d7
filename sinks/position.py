"""How far a documents table, or what was counted of it, has come: a number by part, no entry meaning 0."""

from __future__ import annotations

import json
from collections.abc import Mapping

Position = Mapping[str, int]
NOWHERE: Position = {}


def canonical(position: Position) -> str:
    """A position as JSON that is equal for equal positions."""
    if not any(position.values()):
        return ""
    return json.dumps({key: value for key, value in sorted(position.items()) if value}, separators=(",", ":"))
