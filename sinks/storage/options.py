"""Options and credentials of an object store: from the settings, and from the environment.

Secrets come from the environment alone, or from the chain of the provider's SDK (instance roles, web identities) where
it names none. What the driver finds in its environment travels with its tasks, so executors need none of their own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from conf.redaction import register_secret
from conf.storage.options import CLIENT_OPTIONS, plain_option

TIMEOUT: Final = "120s"
"""For one request: the default of 30 s is not enough for a large file over a slow line."""

_SECRET_VARIABLES: Final = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    "az": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_STORAGE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID",
    ),
    "gs": ("GOOGLE_SERVICE_ACCOUNT_KEY",),
}
_OTHER_VARIABLES: Final = {
    "s3": (
        "AWS_ENDPOINT",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ALLOW_HTTP",
    ),
    "az": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_ENDPOINT", "AZURE_ALLOW_HTTP"),
    "gs": ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"),
}
KINDS: Final = {"s3": "s3", "gs": "gs", "az": "az", "abfs": "az", "abfss": "az"}
"""By scheme of a URL, whose store it is."""

HINTS: Final = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or give this machine an identity",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or give this machine a service account",
}
"""By kind, how to give credentials."""


def store_options(kind: str, given: Mapping[str, str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return all options of a store, secrets included, as delta-rs takes them.

    Args:
        kind: One of the values of KINDS.
        given: Those of the settings; they go first.
        environ: Environment variables; None: this process's own.
    """
    environ = os.environ if environ is None else environ
    options: dict[str, str] = {"timeout": TIMEOUT}
    for variable in (*_OTHER_VARIABLES[kind], *_SECRET_VARIABLES[kind]):
        if value := environ.get(variable):
            name = variable.lower()
            options["allow_http" if name.endswith("allow_http") else name] = value
            if variable in _SECRET_VARIABLES[kind] and not variable.endswith("_ID"):
                register_secret(value)
    for name, value in given.items():
        # One name for each option: two spellings of it would contradict each other.
        plain = plain_option(name)
        options = {key: it for key, it in options.items() if key.partition("_")[2] != plain}
        options[plain] = value
    return options


def split_options(options: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the options of the store, and those of its HTTP client."""
    client = {name: value for name, value in options.items() if name in CLIENT_OPTIONS}
    return {name: value for name, value in options.items() if name not in client}, client
