"""Remote stores through fsspec: one file system a kind of URL, made as the settings say.

HTTP needs nothing more, S3 the extra `s3`; every other protocol works as soon as the package that fsspec names for
it is installed, with options from fsspec's own configuration (~/.config/fsspec/*.json, FSSPEC_… variables).
"""

from __future__ import annotations

from typing import Any

from conf.errors import ExplainedError
from conf.settings import ProducerSettings
from producers.sources.urls import public_url, redact, scheme_of, split_chain

EXTRAS = {"s3": "s3", "s3a": "s3"}


class StoreError(ExplainedError):
    """A kind of URL cannot be opened here; the message says what to install or set."""


def open_store(url: str, settings: ProducerSettings) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path on it. Raises StoreError."""
    import fsspec

    links = split_chain(url)
    scheme = scheme_of(url) if len(links) == 1 else ""
    options = _options(scheme, url, settings)
    try:
        if scheme:
            # Not url_to_fs, which takes any `::` for a chain, also that of a key.
            kind = fsspec.get_filesystem_class(scheme)
            url = scheme + url[len(scheme) :]
            fs = fsspec.filesystem(scheme, **{**kind._get_kwargs_from_urls(url), **options})
            path = kind._strip_protocol(url)
        else:
            fs, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = EXTRAS.get(scheme)
        remedy = f"pip install 'wetstream[{extra}]'" if extra else redact(str(error))
        raise StoreError(f"{public_url(url)}: a package for {scheme}:// is missing: {remedy}") from error
    except (ValueError, TypeError) as error:
        raise StoreError(f"{public_url(url)}: {redact(str(error))}") from error
    return fs, path


def _options(scheme: str, url: str, settings: ProducerSettings) -> dict[str, Any]:
    timeout_s = settings.source_timeout_s
    if scheme in ("http", "https"):
        import aiohttp

        return {
            "use_listings_cache": False,
            "client_kwargs": {
                # Files as they are stored: their own compression is ours to undo, and ranges count its bytes.
                "headers": {"Accept-Encoding": "identity"},
                "auto_decompress": False,
                "timeout": aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s),
            },
        }
    if scheme in ("s3", "s3a"):
        return {
            "use_listings_cache": False,
            "version_aware": "?versionId=" in url,
            "anon": settings.s3_anonymous,
            "endpoint_url": settings.s3_endpoint or None,
            "config_kwargs": {"connect_timeout": timeout_s, "read_timeout": timeout_s, "retries": {"max_attempts": 1}},
        }
    return {}
