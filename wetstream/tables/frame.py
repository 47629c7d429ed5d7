"""Tables for notebooks: one that can be had as Arrow can be had as a Polars, pandas or Spark frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from conf.errors import ExplainedError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


class MissingPackageError(ExplainedError):
    """A package that is not installed with wetstream is needed; the message says how to install it."""


class Frame(ABC):
    """A table in the form that the caller works with. Polars and pandas are imported only when asked for."""

    @abstractmethod
    def to_arrow(self) -> pa.Table:
        """Return it as an Arrow table."""

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
