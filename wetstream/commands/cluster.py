"""Commands for clusters and images: `package`, `compile`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from wetstream import Pipeline
from wetstream.commands.options import FilePath, command, json_option
from wetstream.commands.terminal.output import out
from wetstream.commands.terminal.text import size

commands = click.Group()

APPLICATION = Path(__file__).parents[1] / "submit.py"
"""What spark-submit starts; it imports the commands, so it is only named here."""


@command(commands, name="package")
@click.option(
    "-o",
    "--output",
    type=FilePath(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write it (default: a name with version, Python and machine, in this folder).",
)
@json_option
def package_command(pipeline: Pipeline, output: Path | None, as_json: bool) -> None:
    """Make the archive that executors of a Spark cluster run from.

    It holds wetstream and all that it needs, but for Python and Spark. Name it in stream.archive, or give it to
    spark-submit; the executors' machines then need no more than a Python of the same version.
    """
    from streaming.session import ARCHIVE_FOLDER, ARCHIVE_PYTHON, CONNECTOR
    from wetstream.cluster.archive import MINOR, archive_name, write_archive

    made = write_archive((output or Path(archive_name())).absolute())
    submitting = (
        f"spark-submit --archives {made.path}#{ARCHIVE_FOLDER} --conf spark.pyspark.python={ARCHIVE_PYTHON} "
        f"--packages {CONNECTOR} {APPLICATION} stream"
    )
    if as_json:
        out.json(
            {
                "archive": str(made.path),
                "bytes": made.size_bytes,
                "distributions": made.distributions,
                "python": MINOR,
                "application": str(APPLICATION),
                "connector": CONNECTOR,
            }
        )
        return
    out.line(f"{made.path}: {size(made.size_bytes)}, {made.distributions} packages, for Python {MINOR}")
    out.line(f"as a setting: stream.archive={made.path}")
    out.line(f"or: {submitting}")


@command(commands, name="compile")
@click.argument("folder", type=FilePath(file_okay=False, path_type=Path))
def compile_command(pipeline: Pipeline, folder: Path) -> None:
    """Compile the kernels into FOLDER, for an image.

    These are the text kernel and that of topic models.
    With WETSTREAM_NUMBA_CACHE=FOLDER every user of the image starts with compiled code, also one who cannot write
    there. It fits processors of this machine's kind; with NUMBA_CPU_NAME=generic, here and there, it fits all.
    """
    target = folder.absolute()
    os.environ["WETSTREAM_NUMBA_CACHE"] = str(target)
    from conf.profiles import load_profile
    from streaming.tasks.fused import warm_up
    from streaming.text.jit import bake
    from topicmodels.lda.inference import warm_up as warm_up_topics

    for profile in ("english", "p21"):
        warm_up(load_profile(profile))
    warm_up_topics()
    bake(target)
    out.line(f"compiled into {target}; set WETSTREAM_NUMBA_CACHE={target}")
