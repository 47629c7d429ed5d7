"""Names of the options of object stores, as settings may have them."""

from __future__ import annotations

import difflib
import re
from typing import Final

CLIENT_OPTIONS: Final = frozenset(
    {
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "default_content_type",
        "http1_only",
        "http2_keep_alive_interval",
        "http2_keep_alive_timeout",
        "http2_keep_alive_while_idle",
        "http2_only",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_ca_certificate",
        "proxy_excludes",
        "proxy_url",
        "randomize_addresses",
        "read_timeout",
        "timeout",
        "user_agent",
    }
)
"""Options of the HTTP client, whatever the store."""

_STORE_OPTIONS: Final = frozenset(
    {
        # Amazon S3 and what speaks its protocol
        "checksum_algorithm",
        "conditional_put",
        "container_authorization_token_file",
        "container_credentials_full_uri",
        "container_credentials_relative_uri",
        "copy_if_not_exists",
        "default_region",
        "disable_bulk_delete",
        "disable_tagging",
        "endpoint",
        "endpoint_url",
        "endpoint_url_s3",
        "imdsv1_fallback",
        "metadata_endpoint",
        "region",
        "request_payer",
        "role_arn",
        "role_session_name",
        "s3_express",
        "server_side_encryption",
        "skip_signature",
        "sse_bucket_key_enabled",
        "sse_kms_key_id",
        "sts_endpoint",
        "unsigned_payload",
        "virtual_hosted_style_request",
        "web_identity_token_file",
        # Azure
        "account_name",
        "authority_host",
        "client_id",
        "credential_type",
        "fabric_cluster_identifier",
        "fabric_token_service_url",
        "fabric_workload_host",
        "federated_token_file",
        "msi_endpoint",
        "msi_resource_id",
        "object_id",
        "storage_account_name",
        "tenant_id",
        "use_azure_cli",
        "use_emulator",
        "use_fabric_endpoint",
        # Google
        "application_credentials",
        "base_url",
        "service_account",
        "service_account_path",
    }
)
_BUCKETS: Final = frozenset({"bucket", "bucket_name", "container_name"})
_SECRET = re.compile(r"secret|passw|token|credential|bearer|sas(?:_|$)|key(?:_id|_base64)?$")
_TIMES: Final = frozenset(
    {
        "connect_timeout",
        "http2_keep_alive_interval",
        "http2_keep_alive_timeout",
        "pool_idle_timeout",
        "read_timeout",
        "timeout",
    }
)
_TRUTHS: Final = frozenset(
    {
        "allow_http",
        "allow_invalid_certificates",
        "disable_bulk_delete",
        "disable_tagging",
        "http1_only",
        "http2_keep_alive_while_idle",
        "http2_only",
        "imdsv1_fallback",
        "randomize_addresses",
        "request_payer",
        "s3_express",
        "skip_signature",
        "sse_bucket_key_enabled",
        "unsigned_payload",
        "use_azure_cli",
        "use_emulator",
        "use_fabric_endpoint",
        "virtual_hosted_style_request",
    }
)
_TIME = re.compile(r"(?:[0-9]{1,9} ?(?:ms|s|sec|m|min|h) ?)+")


def plain_option(name: str) -> str:
    """Return the name of an option in lower case and without the store's prefix, such as `aws_`."""
    return re.sub(r"^(?:aws|azure|google)_", "", name.lower())


def check_option(name: str, value: str) -> None:
    """Refuse an option of an object store that must not be a setting, or that no store has.

    Raises:
        ValueError: The message says what to do instead.
    """
    plain = plain_option(name)
    if "unsafe_rename" in plain or (plain == "conditional_put" and value != "etag"):
        raise ValueError(f"{name} would let two writers overwrite each other's commits: remove it")
    if plain in _TRUTHS and value not in ("true", "false"):
        raise ValueError(f"{name} must be true or false")
    if plain in _TIMES and not _TIME.fullmatch(value):
        raise ValueError(f"{name} must be a time with its unit, such as 120s or 500ms")
    if plain in CLIENT_OPTIONS or plain in _STORE_OPTIONS:
        return
    if _SECRET.search(plain):
        raise ValueError(
            f"{name} holds a secret, which belongs in the environment (AWS_SECRET_ACCESS_KEY, "
            "AZURE_STORAGE_ACCOUNT_KEY, GOOGLE_APPLICATION_CREDENTIALS, or the provider's own chain): remove it"
        )
    if plain in _BUCKETS:
        raise ValueError(f"{name} is part of documents.path, as in s3://BUCKET/PREFIX: remove it")
    near = difflib.get_close_matches(plain, sorted(CLIENT_OPTIONS | _STORE_OPTIONS), 1)
    raise ValueError(f"{name[:80]} is no option of an object store" + (f": did you mean {near[0]}?" if near else ""))
