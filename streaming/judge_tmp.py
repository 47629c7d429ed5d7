"""Temporary."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streaming.text import reasons


@dataclass
class Judgement:
    bags: object
    reasons: pa.Array
    languages: pa.Array
    methods: pa.Array

def judge(bagger, m):
    bags = bagger.bag(m.data, m.starts, m.ends)
    reason = np.array(m.reason.to_pylist(), object)
    page = m.starts >= 0
    reason[page & ~bags.kept] = reasons.TOO_FEW_WORDS
    langs=[(h.split(",")[0] if h else None) for h in m.language_header.to_pylist()]
    return Judgement(bags, pa.array(reason, pa.string()), pa.array(langs, pa.string()), pa.array([("header" if l else None) for l in langs], pa.string()))
