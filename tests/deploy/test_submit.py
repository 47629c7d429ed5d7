"""`wetstream/submit.py` as a script, as spark-submit starts it."""

from __future__ import annotations

import subprocess
import sys

from wetstream import submit

AS_A_SCRIPT = """
import runpy, sys
folder, sys.argv = {folder!r}, ["submit.py", "--version"]
sys.path.insert(0, folder)
try:
    runpy.run_path(folder + "/submit.py", run_name="__main__")
except SystemExit as end:
    assert not end.code
import cProfile  # which imports the standard library's `profile`
import pyspark
print("imported")
"""


def test_no_module_of_the_standard_library_is_hidden() -> None:
    folder = str(submit.__file__).rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, "-c", AS_A_SCRIPT.format(folder=folder)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wetstream") and done.stdout.endswith("imported\n")
