"""The error that this package raises."""

from conf.errors import ExplainedError


class ServerError(ExplainedError):
    """Something that the servers need is missing or wrong.

    Attributes:
        problem: What is wrong, with its value.
        remedy: What to do about it.
        details: Lines from a log.
    """

    def __init__(self, problem: str, remedy: str, details: str = "") -> None:
        super().__init__(f"{problem.rstrip('.')}. {remedy}" + (f"\n{details}" if details else ""))
        self.problem = problem
        self.remedy = remedy
        self.details = details
