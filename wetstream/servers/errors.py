"""The one error of this package."""

from conf.errors import ExplainedError


class ServerError(ExplainedError):
    """Something that the servers need is missing or wrong.

    `problem` names the thing and its value, `remedy` says what to do, `details` are lines from a log. The whole is
    meant to be printed as it stands, without a traceback.
    """

    def __init__(self, problem: str, remedy: str, details: str = "") -> None:
        super().__init__(f"{problem.rstrip('.')}. {remedy}" + (f"\n{details}" if details else ""))
        self.problem = problem
        self.remedy = remedy
        self.details = details
