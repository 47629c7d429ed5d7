"""Choosing ports on the loopback interface."""

import random
import socket

from wetstream.servers.errors import ServerError

LOOPBACK = "127.0.0.1"

# Below Linux's range for outgoing connections (from 32768), so that no client sits on a server's port at its restart.
_OTHERS = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an ended server that linger in TIME_WAIT do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def choose_port(*preferred: int | None, taken: frozenset[int] = frozenset()) -> int:
    """The first free one of the preferred ports, else a random free one; never one of `taken`.

    The answer may be out of date a moment later: whoever starts a server must be ready to choose again.
    """
    for port in (*preferred, *random.sample(_OTHERS, 1_000)):
        if port and port not in taken and is_free(port):
            return port
    raise ServerError(f"No free port on {LOOPBACK} in {_OTHERS}", "End what listens there.")
