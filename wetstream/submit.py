"""The application of `spark-submit`: the `wetstream` command, on the Spark that spark-submit has started.

spark-submit --master spark://host:7077 --archives ARCHIVE#wetstream submit.py stream
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Python puts the folder of a script first: there, modules of ours would hide those of the standard library of the
    # same name (`profile`).
    here = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120
    sys.path[:] = [folder for folder in sys.path if os.path.realpath(folder) != here]

    from wetstream.commands.main import main

    main()
