"""How a failure reaches a person: one sentence and an exit code, and the traceback only where it is asked for."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import shell_complete

from conf.redaction import redact
from wetstream import ExplainedError
from wetstream.commands.terminal.output import OutputClosedError, err, out, silence

FAILED, USAGE, UNEXPECTED, INTERRUPTED, PIPE_CLOSED, TERMINATED = 1, 2, 70, 130, 141, 143
PROGRAM = "wetstream"
COMPLETE_VARIABLE = "_WETSTREAM_COMPLETE"
DEBUG_VARIABLE = "WETSTREAM_DEBUG"

_REDIS_REMEDY = "see that Redis runs (`wetstream status`, `wetstream up`) and that redis.url is right"
_KAFKA_REMEDY = "see that the broker runs (`wetstream status`, `wetstream up`) and kafka.bootstrap_servers is right"
# By module and name, so that nothing has to be imported that the command has not loaded itself. The first class of an
# error's bases that is listed decides.
_FOREIGN = {
    ("redis.exceptions", "AuthenticationError"): ("Redis refuses the login", "correct redis.client"),
    ("redis.exceptions", "NoPermissionError"): (
        "Redis refuses a command",
        "give its user this right (`wetstream doctor` names all)",
    ),
    ("redis.exceptions", "OutOfMemoryError"): ("Redis is full", "give it more memory (maxmemory)"),
    ("redis.exceptions", "ReadOnlyError"): ("Redis is a read-only replica", "name the master in redis.url"),
    ("redis.exceptions", "BusyLoadingError"): ("Redis is still loading its data", "try again in a moment"),
    ("redis.exceptions", "ConnectionError"): ("Redis does not answer", _REDIS_REMEDY),
    ("redis.exceptions", "TimeoutError"): ("Redis does not answer in time", _REDIS_REMEDY),
    ("redis.exceptions", "ResponseError"): (
        "Redis refuses a command",
        "if a key has another type, delete it and run `wetstream rebuild`",
    ),
    ("redis.exceptions", "RedisError"): ("Redis has failed", _REDIS_REMEDY),
    ("kafka.errors", "AuthorizationError"): ("Kafka refuses the access", "give the user the rights on the topics"),
    ("kafka.errors", "KafkaError"): ("Kafka has failed", _KAFKA_REMEDY),
    ("_internal", "DeltaError"): ("the documents table cannot be read", "see `wetstream documents history`"),
    ("deltalake.exceptions", "DeltaError"): ("the documents table cannot be read", "see `wetstream documents history`"),
    ("pyarrow.lib", "ArrowException"): ("a data file cannot be read", "restore the file, or replay its sources"),
    ("duckdb", "Error"): ("the documents cannot be queried", "restore the files that are missing or damaged"),
    ("_duckdb", "Error"): ("the documents cannot be queried", "restore the files that are missing or damaged"),
    ("pyspark.errors.exceptions.base", "PySparkException"): ("Spark has failed", "see the stream.* settings"),
    ("py4j.protocol", "Py4JError"): ("Spark has failed", "see the stream.* settings"),
    ("py4j.protocol", "Py4JNetworkError"): ("Spark's Java process has gone", "run the same command again"),
}
_SYSTEM = {
    errno.ENOSPC: "the disk is full: make room, then run the same command again",
    errno.EDQUOT: "the disk quota is used up: make room, then run the same command again",
    errno.EACCES: "permission denied: make it accessible to this user, or name another place",
    errno.EPERM: "permission denied: make it accessible to this user, or name another place",
    errno.EROFS: "the file system is read-only: name another place",
    errno.EMFILE: "too many open files: raise the limit (`ulimit -n 4096`) and run the same command again",
    errno.ENFILE: "the system has too many open files: end other programs",
    errno.ELOOP: "the link points to itself: correct it",
    errno.ENOENT: "no such file or folder",
    errno.EISDIR: "is a folder, where a file is expected",
    errno.ENOTDIR: "is no folder, where one is expected",
    errno.EEXIST: "is there already",
    errno.ENOMEM: "out of memory: end other programs, or add memory",
    errno.EADDRINUSE: "the port is in use: name another one, or end the program that has it",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.ENAMETOOLONG: "the name is too long",
}


class CommandError(click.ClickException):
    """A command cannot do what was asked; the message is all that a person sees."""


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a click command; return its exit code, whatever happens in it."""
    threading.excepthook = _thread_failed
    try:
        try:
            code = _invoke(command, sys.argv[1:] if arguments is None else list(arguments))
        finally:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        code = _report(error)
    _flush_last()
    return code


def _invoke(command: click.Command, arguments: list[str]) -> int:
    # Not by click's `main`: it takes every broken pipe, that of a server too, for a reader that has gone.
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        return shell_complete(command, {}, PROGRAM, COMPLETE_VARIABLE, instruction)
    with command.make_context(PROGRAM, arguments) as context:
        command.invoke(context)
    return 0


def debugging() -> bool:
    """Whether tracebacks are wanted (`--debug`, or WETSTREAM_DEBUG=1)."""
    return os.environ.get(DEBUG_VARIABLE, "").lower() not in ("", "0", "false", "no")


def sentence(error: BaseException) -> str | None:
    """Say in one sentence what an error means; None for one that nobody expected."""
    if isinstance(error, ExplainedError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory: end other programs, or add memory"
    for base in type(error).__mro__:
        found = _FOREIGN.get((base.__module__, base.__name__))
        if found is not None:
            return f"{found[0]}: {_first_line(error)}; {found[1]}"
    if isinstance(error, OSError):
        return _system_sentence(error)
    if isinstance(error, RuntimeError) and "Symlink loop" in str(error):  # pathlib's own, before Python 3.13
        return f"{_first_line(error)}: correct the link"
    return None


def _system_sentence(error: OSError) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes, Path))]
    what = _SYSTEM.get(error.errno or 0, error.strerror or _first_line(error))
    if names:
        return f"{' -> '.join(names)}: {what}"
    # Arrow and others name the file in the text only.
    text = re.sub(r"^\[Errno \d+\] ", "", _first_line(error))
    return what if what == text or (error.strerror == text and "/" not in text) else f"{text}: {what}"


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__


def _report(error: BaseException) -> int:
    """Say what happened on stderr, as well as that still can be done; returns the exit code."""
    if debugging() and not isinstance(error, (click.ClickException, click.exceptions.Exit, OutputClosedError)):
        _say(lambda: err.lines("".join(traceback.format_exception(error))))
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, (OutputClosedError, BrokenPipeError)) and _is_output(error):
        return PIPE_CLOSED
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        _say(lambda: err.line("interrupted", "yellow"))
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        _say(lambda: _usage(error))
        return error.exit_code
    known = sentence(error)
    if known is not None:
        _say(lambda: _error(known))
        return error.exit_code if isinstance(error, ExplainedError) else FAILED
    told = "" if debugging() else f"; {_keep(error)}"
    _say(lambda: _error(f"unexpected {type(error).__name__}: {_first_line(error)}{told}"))
    return UNEXPECTED


def _is_output(error: BaseException) -> bool:
    """Whether our own output is closed, not the connection to a server."""
    if isinstance(error, OutputClosedError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.endswith(
        ("output.py", "failures.py", "click/utils.py", "click/_compat.py")
    )


def _usage(error: click.ClickException) -> None:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        err.lines(error.ctx.get_usage())
        _error(error.format_message())
        err.line(f"try: {error.ctx.command_path} --help", "dim")
    else:
        _error(error.format_message())


def _error(text: str) -> None:
    err.parts(("error: ", "bold red"), (text, ""))


def _keep(error: BaseException) -> str:
    """Write the traceback into a file of its own; returns where, and how to see it at once."""
    try:
        descriptor, path = tempfile.mkstemp(prefix="wetstream-", suffix=".traceback")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(redact("".join(traceback.format_exception(error))))
    except OSError:
        return f"{DEBUG_VARIABLE}=1 shows where"
    return f"the details are in {path} ({DEBUG_VARIABLE}=1 shows them at once); please report this"


def _say(speak: Callable[[], None]) -> None:
    """Print to stderr; when that has gone too, the exit code has to do."""
    try:
        speak()
    except (OSError, OutputClosedError, ValueError):
        silence(sys.stderr)


def _flush_last() -> None:
    for console in (out, err):
        try:
            console.file.flush()
        except (OSError, ValueError):
            silence(console.file)


def _thread_failed(args: Any) -> None:
    """A thread of a library has died; the command goes on, and says so."""
    if isinstance(args.exc_value, (SystemExit, type(None))):
        return
    error: BaseException = args.exc_value
    known = sentence(error) or f"unexpected {type(error).__name__}: {_first_line(error)}; {_keep(error)}"
    name = args.thread.name if args.thread is not None else "a thread"
    _say(lambda: err.line(f"{name}: {known}", "yellow"))
