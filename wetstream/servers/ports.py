"""Free ports on the loopback interface."""

import random
import socket

from wetstream.servers.errors import ServerError

LOOPBACK = "127.0.0.1"

# Below Linux's ephemeral range (from 32768), so that no client holds a server's port when it restarts.
_OTHERS = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections in TIME_WAIT do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def choose_port(*preferred: int | None, taken: frozenset[int] = frozenset()) -> int:
    """Return the first free preferred port, else a random free one; never one of `taken`.

    Another program may take the port before the server does, so callers must be ready to choose again.
    """
    for port in (*preferred, *random.sample(_OTHERS, 1_000)):
        if port and port not in taken and is_free(port):
            return port
    raise ServerError(f"No free port on {LOOPBACK} in {_OTHERS}", "End what listens there.")
