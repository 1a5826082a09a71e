"""The addresses of a server, thin: JSON in, one job in the one thread that computes, JSON out."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from pydantic import Field
from starlette.exceptions import HTTPException

from gen.errors import UserError, describe
from gen.serving.following import InUse
from gen.serving.gate import Gate, Limits, refusal
from gen.serving.pictures import UndecodableError
from gen.serving.served import Served
from gen.strict import Strict

MOST_IMAGES = 256
"""Made for one request."""
MOST_INPUTS = 64
"""Images in one request."""
LARGEST = 2**31 - 1
PAGE = Path(__file__).parent.parent / "templates" / "serving.html"
ADDRESSES = "POST /generate, /reconstruct and /translate; GET /, /health, /version and /openapi.json"


class Noise(Strict):
    """The body of POST /generate."""

    n: int = Field(ge=1, le=MOST_IMAGES)
    """How many images."""
    seed: int = Field(default=0, ge=0, le=LARGEST)
    """Image i depends on the seed and i alone."""
    start: int = Field(default=0, ge=0, le=LARGEST)
    """The number of the first image."""
    truncation: float = Field(default=1.0, ge=0, le=1)
    """Scales the noise: below 1 images are more usual and vary less."""
    label: str | None = Field(default=None, alias="class", max_length=200)
    """Of this class: as asked, of a model that knows classes. Of others only those that the dataset's classifier is
    sure of, and `start` counts them alone."""


class Images(Strict):
    """The body of POST /reconstruct."""

    images: list[str] = Field(min_length=1, max_length=MOST_INPUTS)
    """Each a PNG, JPEG or WebP file in base64."""


class Translation(Images):
    """The body of POST /translate."""

    back: bool = False
    """From domain B to A."""


class Pictures(Strict):
    """The answer to each POST."""

    images: list[str]
    """PNG files in base64."""
    version: str
    """What made them: NAME/NUMBER of a registered version, else the model's name."""


class Refusal(Strict):
    """Every other answer."""

    error: str
    """What, why, and what to do."""


def build(in_use: InUse, bound: str, limits: Limits | None = None) -> Gate:
    """The ASGI application that serves what is in use, at the address or name `bound`."""
    limits = limits or Limits()
    page, policy = _page()
    refused: dict[int | str, dict[str, Any]] = {status: {"model": Refusal} for status in (400, 413, 415, 422, 503)}
    app = FastAPI(title="genflows", docs_url=None, redoc_url=None, redirect_slashes=False)
    gate = Gate(app, bound, limits)
    # One thread: torch computes one thing at a time, in order, and the event loop stays free to answer.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")

    async def answer(job: Callable[[Served], bytes]) -> Response:
        made = await asyncio.get_running_loop().run_in_executor(thread, lambda: job(in_use.served))
        return Response(made, media_type="application/json")

    @app.post("/generate", response_model=Pictures, responses=refused)
    async def generate(wanted: Noise) -> Response:
        """Images from noise."""
        n, seed, start, truncation, label = wanted.n, wanted.seed, wanted.start, wanted.truncation, wanted.label
        if label is None:
            return await answer(lambda served: served.generated(n, seed, start, truncation))
        return await answer(lambda served: served.of_class(label, n, seed, start, truncation, in_use.classifier))

    @app.post("/reconstruct", response_model=Pictures, responses=refused)
    async def reconstruct(given: Images) -> Response:
        """Images encoded and decoded again, by a VAE."""
        return await answer(lambda served: served.reconstructed(given.images))

    @app.post("/translate", response_model=Pictures, responses=refused)
    async def translate(given: Translation) -> Response:
        """Images of one domain to the other."""
        return await answer(lambda served: served.translated(given.images, back=given.back))

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether it serves what it is to serve, and how many requests are at work or wait."""
        return {
            "status": "troubled" if in_use.trouble else "ok",
            "version": in_use.served.label,
            "waiting": gate.waiting,
            "following": in_use.following,
            "looked": in_use.looked,
            "trouble": in_use.trouble,
        }

    @app.get("/version")
    async def version() -> dict[str, Any]:
        """What serves: name, number, digest, family, shape."""
        return in_use.served.facts()

    @app.get("/", response_class=HTMLResponse)
    async def look() -> HTMLResponse:
        """A page to look at."""
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    _explain_refusals(app)
    return gate


def _explain_refusals(app: FastAPI) -> None:
    """Every refusal is one paragraph in JSON."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return refusal(422, _faults(error.errors()))

    @app.exception_handler(UserError)
    async def unable(_: Request, error: UserError) -> Response:
        return refusal(422, str(error))

    @app.exception_handler(UndecodableError)
    async def undecodable(_: Request, error: UndecodableError) -> Response:
        return refusal(415, str(error))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        texts = {
            400: 'The body is no JSON that can be read. Send an object such as {"n": 16, "seed": 1}.',
            404: f"There is nothing at this address. There are: {ADDRESSES}.",
            405: f"This address does not take {request.method[:16]}. There are: {ADDRESSES}.",
        }
        return refusal(error.status_code, texts.get(error.status_code, str(error.detail)), error.headers)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        what = describe(error) if isinstance(error, MemoryError) else None
        fault = "Something went wrong here that is not the fault of the request; the server's log says what."
        return refusal(500, what or f"{fault} Report it, or try another request.")


def _faults(errors: Sequence[Any]) -> str:
    """What is wrong with a body, in one paragraph; of many faults the first five."""
    told = "; ".join(f"`{_place(error)}`: {_fault(error)}" for error in errors[:5])
    return (
        f"The request cannot be used: {told}. Send JSON with the content type application/json; "
        "GET /openapi.json describes every field."
    )


def _place(error: Any) -> str:
    """The dotted name of a field, or `body` for all of it."""
    inner = [] if error["type"] == "json_invalid" else error["loc"][1:]
    # What somebody sent is told as text of one line.
    return ".".join(map(str, inner)).encode("unicode_escape").decode()[:60] or "body"


def _fault(error: Any) -> str:
    match error["type"]:
        case "json_invalid":
            return "it is no JSON"
        case "extra_forbidden":
            return "there is no such field"
        case "missing":
            return "it is missing"
        case _:
            return str(error["msg"])[:1].lower() + str(error["msg"])[1:200]


def _page() -> tuple[str, str]:
    """The page and the policy under which nothing runs but its own script and style."""
    page = PAGE.read_text(encoding="utf-8")
    hashes = {
        tag: base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        for tag in ("style", "script")
        if (found := re.search(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL))
    }
    policy = (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; script-src 'sha256-{hashes['script']}'; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy
