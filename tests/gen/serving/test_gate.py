"""Who is let in: names that are the server's own, and no others."""

import socket

import pytest

from gen.serving.gate import is_allowed


@pytest.mark.parametrize(
    ("header", "bound", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1:8000", "127.0.0.1", True),
        ("localhost:8000", "127.0.0.1", True),
        ("[::1]:8000", "127.0.0.1", True),
        ("pictures.example:8000", "pictures.example", True),
        ("Pictures.Example", "pictures.example", True),
        ("192.0.2.7:8000", "0.0.0.0", True),
        ("[2001:db8::7]:8000", "::", True),
        (socket.gethostname(), "0.0.0.0", True),
        ("", "127.0.0.1", False),
        ("evil.example", "127.0.0.1", False),
        ("evil.example", "0.0.0.0", False),
        ("192.0.2.7", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("127.0.0.1@evil.example", "127.0.0.1", False),
    ],
)
def test_names(header: str, bound: str, allowed: bool) -> None:
    assert is_allowed(header, bound) is allowed
