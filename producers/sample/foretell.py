"""An independent oracle for tests: whether the p21 profile keeps a page, decided by a small state machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from producers.sample.page import compiled


@compiled
def p21_keeps(text: NDArray[np.uint8]) -> bool:
    """Return whether the p21 rule keeps this text (more than ten valid tokens), computed without the product's code.

    Tokens are separated by ASCII white space. A valid one has ASCII letters, - and ', and " at its edges only; it
    has at least one letter.
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
