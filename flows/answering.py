"""Asking a server whether it is well, and what it knows."""

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from gen.tracking.environment import without_secrets

PATIENCE = 5.0
"""Seconds that an answer may take."""
# A proxy, whatever the environment says of one, does not lead back to this machine.
_HERE = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_ELSEWHERE = urllib.request.build_opener()


def answers(url: str) -> bool:
    """Whether it is there, with status 200. Where that is asked nobody needs a password: those in the URL stay here."""
    try:
        with _opener(url).open(without_secrets(url), timeout=PATIENCE) as answer:
            return bool(answer.status == 200)
    # What is no HTTP at all is a ValueError, or an exception of http.client that is none of the two.
    except Exception:
        return False


def ask(url: str, query: Any = None) -> Any:
    """The JSON that it answers, to a POST where there is a query; None where it answers nothing.

    Raises OSError or ValueError.
    """
    data = None if query is None else json.dumps(query).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    with _opener(url).open(request, timeout=PATIENCE) as answer:
        said = answer.read()
        return json.loads(said) if said else None


def _opener(url: str) -> urllib.request.OpenerDirector:
    return _HERE if urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1") else _ELSEWHERE
