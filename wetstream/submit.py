"""The application of `spark-submit`: the `wetstream` command, on the Spark that spark-submit has started.

spark-submit --master spark://host:7077 --archives ARCHIVE#wetstream submit.py stream
"""

from __future__ import annotations

from wetstream.commands.main import main

if __name__ == "__main__":
    main()
