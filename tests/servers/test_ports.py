"""The choice of a port."""

import socket

from wetstream.servers.ports import choose_port, is_free


def test_first_free_preferred_port_is_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as freed:
        taken, free = other.getsockname()[1], freed.getsockname()[1]
        freed.close()
        assert (is_free(taken), is_free(free)) == (False, True)
        assert choose_port(None, taken, free) == free


def test_wildcard_listener_occupies_the_port() -> None:
    with socket.create_server(("", 0)) as other:
        assert not is_free(other.getsockname()[1])


def test_occupied_port_is_never_chosen() -> None:
    wanted = choose_port()
    assert choose_port(wanted, taken=frozenset([wanted])) != wanted


def test_fallback_ports_lie_below_the_ephemeral_range() -> None:
    assert all(20_000 <= choose_port() < 32_768 for _ in range(20))
