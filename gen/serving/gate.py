"""What every request passes before it is looked into: whose name it called, how many wait, how long it is.

And what every answer carries: headers that keep browsers from guessing, framing and remembering.
"""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NOTHING = "default-src 'none'; frame-ancestors 'none'"
"""The content security policy of all that is no page."""


@dataclass(frozen=True)
class Limits:
    """How much is taken in at once."""

    waiting: int = 64
    """Requests for pictures that are read, wait, or are computed; one more is told to come again."""
    bytes: int = 16 * 2**20
    """Of one request's body."""
    seconds: float = 30.0
    """For a body to come in."""


def refusal(status: int, paragraph: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal as JSON: what, why, and what to do."""
    # ASCII alone: text of strangers may hold halves of characters, which no encoding takes.
    return Response(json.dumps({"error": paragraph}), status, dict(headers or {}), "application/json")


def is_allowed(header: str, bound: str) -> bool:
    """Whether a Host header names this server, which listens at the address or name `bound`.

    A page of another origin that has its own name point here (DNS rebinding) calls that name, and is refused.
    """
    name = _without_port(header.strip().lower())
    if name in (*LOOPBACK, bound.lower()):
        return True
    if bound not in ("0.0.0.0", "::"):  # noqa: S104
        return False
    # It listens at every address of this machine, and no name can be made to point to a number.
    return name == socket.gethostname().lower() or _is_address(name)


def _without_port(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class TooLongError(Exception):
    """A body is longer than what is read."""


class Gate:
    """An ASGI application around another one."""

    def __init__(self, inner: ASGIApp, bound: str, limits: Limits) -> None:
        """Guard `inner`, which is served at the address or name `bound`."""
        self.inner = inner
        self.bound = bound
        self.limits = limits
        self.waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, "Content-Security-Policy": NOTHING}.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refused(scope)
        if refused:
            await refused(scope, receive, guarded)
        elif scope["method"] in ("GET", "HEAD"):
            await self.inner(scope, receive, guarded)
        else:
            self.waiting += 1
            try:
                await self._with_body(scope, receive, guarded)
            finally:
                self.waiting -= 1

    def _refused(self, scope: Scope) -> Response | None:
        host = Headers(scope=scope).get("host", "")
        if not is_allowed(host, self.bound):
            return refusal(
                403,
                "This server was called by a name that is not its own, as pages do that reach for other people's "
                "servers. Call it by its address, or start it with `--host NAME`.",
            )
        if scope["method"] not in ("GET", "HEAD") and self.waiting >= self.limits.waiting:
            return refusal(
                503,
                f"{self.limits.waiting} requests wait already, and one is computed at a time. Come again in a second.",
                {"Retry-After": "1"},
            )
        return None

    async def _with_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, all of it or as much as is allowed, and hand it on."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await self._body(receive)
        except TimeoutError:
            slow = f"The request's body did not come in within {self.limits.seconds:.0f} seconds. Send less, or faster."
            await refusal(408, slow, {"Connection": "close"})(scope, receive, send)
            return
        except TooLongError:
            long = (
                f"The request's body is longer than the {self.limits.bytes // 2**20} MiB that are read. "
                "Send smaller images, or fewer of them in one request."
            )
            await refusal(413, long, {"Connection": "close"})(scope, receive, send)
            return
        if body is None:
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed() -> Message:
            return whole.pop() if whole else await receive()

        await self.inner(scope, replayed, send)

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; None when the client is gone. Raises TooLongError.

        A body that is too long is read on for as much again, and forgotten: most clients hear an answer only when they
        have said everything.
        """
        body, length, more = bytearray(), 0, True
        while more and length <= 2 * self.limits.bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            length += len(message.get("body", b""))
            more = message.get("more_body", False)
            if length <= self.limits.bytes:
                body += message.get("body", b"")
            else:
                body.clear()
        if length > self.limits.bytes:
            raise TooLongError
        return bytes(body)
