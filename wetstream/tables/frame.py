"""Tables for notebooks: one that can be had as Arrow can be had as a Polars, pandas or Spark frame."""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conf.errors import ExplainedError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


class MissingPackageError(ExplainedError):
    """A package that is not installed with wetstream is needed; the message says how to install it."""


class FormatError(ExplainedError):
    """A file's name does not say in which of the known formats to write; the message names them."""


FORMATS = (".csv", ".tsv", ".parquet", ".arrow")


class Frame(ABC):
    """A table in the form that the caller works with. Polars and pandas are imported only when asked for."""

    @abstractmethod
    def to_arrow(self) -> pa.Table:
        """Return it as an Arrow table."""

    def write(self, path: str | Path) -> Path:
        """Write it to a file, in the format of its suffix: .csv, .tsv, .parquet or .arrow (Arrow's file format).

        The file appears whole or not at all; one of that name is replaced.

        Raises:
            FormatError: The suffix is another one.
        """
        target = Path(path)
        if target.suffix not in FORMATS:
            raise FormatError(f"{target} has none of the suffixes {', '.join(FORMATS)}, which say how to write it")
        unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            _write(self.to_arrow(), unfinished, target.suffix)
            os.replace(unfinished, target)  # noqa: PTH105 - atomic
        finally:
            unfinished.unlink(missing_ok=True)
        return target

    def to_polars(self) -> polars.DataFrame:
        """Return it as a Polars frame. Raises MissingPackageError without Polars."""
        try:
            import polars
        except ImportError as error:
            raise _missing("polars") from error
        frame: Any = polars.from_arrow(self.to_arrow())
        return frame

    def to_pandas(self) -> pandas.DataFrame:
        """Return it as a pandas frame. Raises MissingPackageError without pandas."""
        try:
            import pandas  # noqa: F401
        except ImportError as error:
            raise _missing("pandas") from error
        return self.to_arrow().to_pandas()

    def to_spark(self, spark: SparkSession) -> DataFrame:
        """Return it as a Spark frame."""
        return spark.createDataFrame(self.to_arrow())


def _missing(package: str) -> MissingPackageError:
    return MissingPackageError(f"{package} is not installed: pip install {package}")


def _write(table: pa.Table, path: Path, suffix: str) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, path, compression="zstd")
    elif suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        options = pyarrow.csv.WriteOptions(delimiter="\t" if suffix == ".tsv" else ",", quoting_style="needed")
        pyarrow.csv.write_csv(table, path, options)
