"""Errors of object stores, as the file system's errors that everything above knows.

obstore and delta-rs share one client, so their messages are alike. Few of their words are shown: they are long, and not
written for users.
"""

from __future__ import annotations

import errno
import re

from conf.errors import ExplainedError
from sinks.storage.options import HINTS

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"\b([45]\d\d) [A-Z]")
_NO_CREDENTIALS = re.compile(
    r"/latest/(?:api/token|meta-data)|169\.254\.16\d\.\d+|metadata\.google|computeMetadata|metadata/identity"
    r"|InvalidCredentials|no providers in chain"
    r"|(?:credentials?|account) (?:provider )?(?:was |is |were )?(?:not (?:found|loaded|enabled)|missing)",
    re.IGNORECASE,
)
_BAD_CREDENTIALS = re.compile(r"credential error|service account file|SAS query|SasComponent", re.IGNORECASE)
_NOT_ENCRYPTED = re.compile(r"scheme is not allowed|BadScheme|builder error", re.IGNORECASE)
_UNKNOWN_OPTION = re.compile(r"Configuration key: '(\w+)' is not valid|Failed to parse \"([^\"]*)\" as")
_OF_A_STORE = re.compile(r"Generic (?:S3|MicrosoftAzure|GCS|HTTP) error|Error performing [A-Z]+ http|HTTP error")
_NO_CONTAINER = frozenset({"NoSuchBucket", "ContainerNotFound", "InvalidBucketName"})


class UnavailableError(ExplainedError, OSError):
    """The object store does not answer, which may pass."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.strerror = sentence


def is_of_a_store(text: str) -> bool:
    """Whether an error of delta-rs with this text comes from the object store, and not from the table in it."""
    return _OF_A_STORE.search(text) is not None


def storage_error(text: str, root: str, kind: str) -> OSError:
    """Return the error of the file system that an error of an object store amounts to.

    Args:
        text: Its message.
        root: URL of the bucket or container.
        kind: Whose store it is, as in `KINDS`.

    Returns:
        NotADirectoryError where there is no such bucket, PermissionError where the credentials are missing or refused
        or an option is wrong, else UnavailableError.
    """
    if option := _UNKNOWN_OPTION.search(text):
        return PermissionError(
            errno.EINVAL, f"documents.storage holds {option[1] or option[2]}, which {root} does not know: correct it"
        )
    code, status = _CODE.search(text), _STATUS.search(text)
    named = code[1] if code else status[1] if status else ""
    if named in _NO_CONTAINER:
        return NotADirectoryError(errno.ENOTDIR, f"there is no {root}: create it, or correct the URL")
    if _NO_CREDENTIALS.search(text):
        return PermissionError(errno.EACCES, f"no credentials were found for {root}: {HINTS[kind]}")
    if _BAD_CREDENTIALS.search(text):
        return PermissionError(
            errno.EACCES, f"the credentials of {root} cannot be used ({_first_line(text)}): {HINTS[kind]}"
        )
    if status and status[1] in ("401", "403"):
        return PermissionError(
            errno.EACCES, f"{root} refuses these credentials ({named}): {HINTS[kind]} that may list, read and write it"
        )
    if _NOT_ENCRYPTED.search(text):
        return PermissionError(
            errno.EACCES, f"{root} is asked without encryption: set documents.storage.allow_http to true to permit that"
        )
    if (status and status[1] in ("400", "301", "307", "501")) or "configured region" in text:
        return PermissionError(
            errno.EACCES,
            f"{root} refuses the request ({named or 'a redirection'}): see documents.storage.region and .endpoint",
        )
    why = f"status {status[1]}" if status else "no connection" if "HTTP error" in text else _first_line(text)
    return UnavailableError(f"{root} does not answer ({why})")


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]
