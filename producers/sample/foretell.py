"""What the p21 profile should find in a sample, counted by a state machine of its own: an oracle for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from producers.sample.page import compiled


@compiled
def p21_keeps(text: NDArray[np.uint8]) -> bool:
    """Foretell whether the p21 rule keeps this text, by other means than its code: more than ten valid tokens.

    A token stands between ASCII white space. Valid are ASCII letters, - and ', with " at the edges only, and not edges
    alone.
    """
    valid = state = 0  # 0 between tokens, 1 edges so far, 2 letters seen, 3 a quotation mark after letters, 4 not valid
    for byte in text:
        if byte == 32 or 9 <= byte <= 13:
            valid += 2 <= state <= 3
            state = 0
            if valid > 10:
                return True
        elif state == 4:
            continue
        elif 65 <= byte <= 90 or 97 <= byte <= 122:
            state = 2 if state <= 2 else 4
        elif byte == 34:
            state = 1 if state <= 1 else 3
        elif byte == 39 or byte == 45:
            state = max(state, 1)
        else:
            state = 4
    return valid + (2 <= state <= 3) > 10
