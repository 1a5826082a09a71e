"""genflows extractor NAME --weights: weights from elsewhere in, a frozen feature extractor out."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from gen import files
from gen.config import Params, check_name
from gen.errors import BadParamsError, UserError
from gen.extractors import registry, strided
from gen.extractors.architecture import Architecture, Official
from gen.extractors.description import Imported
from gen.extractors.weights import fill, unpack
from gen.features import Extractor, described
from gen.sources.official import MIRROR, download
from gen.strict import nearest
from gen.workspace import Workspace

OFFICIAL = "official"
"""Instead of a file: the weights that the architecture's authors published."""
FOLDER = "features"
"""Where a mirror and the downloads keep them."""


@dataclass(frozen=True)
class Wanted:
    """An extractor to be imported."""

    name: str
    architecture: str
    weights: str
    """Path of a file, or `official`."""
    tap: str | None = None
    """May be left out where the architecture has only one."""
    sha256: str | None = None
    """That the file must have."""


def import_extractor(
    workspace: Workspace, params: Params, wanted: Wanted, *, again: bool = False, say: Callable[[str], None] = print
) -> str:
    """Write data/extractors/NAME from a file of weights, and return its digest. Doing it twice changes nothing.

    Only `official` downloads, and only where neither the mirror nor an earlier download has the file. Raises
    BadParamsError for a name, an architecture or a tap that cannot be; UserError for weights that are not those that
    were asked for or do not fit, and where another extractor has the name, unless `again`.
    """
    _check_name(params, wanted.name)
    architecture = _architecture(wanted.architecture)
    tap = _tap(architecture, wanted)
    path, expected = _file(workspace, architecture, wanted)
    data = path.read_bytes()
    digest = files.sha256(data)
    if expected and digest != expected.lower():
        raise UserError(
            f"{path} has the SHA-256 {digest}, and not {expected.lower()} as asked. It is another file, or a damaged "
            "one: get it again. Nothing was changed."
        )
    network, left = fill(architecture, tap, unpack(data, digest, architecture, str(path)), str(path))
    description = Imported(
        architecture=wanted.architecture,
        preprocessing=architecture.preprocessing,
        tap=tap,
        dimension=architecture.taps[tap],
        meaning="labels" if architecture.labels else "nothing",
        labels=list(architecture.labels),
        file=path.name,
        sha256=digest,
    )
    extractor = Extractor.of(network, description, torch.device("cpu"))
    _try(extractor)
    folder = workspace.extractor(wanted.name)
    if folder.exists() and not again:
        if Extractor.load(folder).digest == extractor.digest:
            say(f"{wanted.name}: there already, with the same weights.")
            return extractor.digest
        known = described(folder)
        raise BadParamsError(
            f"The extractor `{wanted.name}` is there already, another one: {known.architecture}, tap {known.tap}. "
            "Import under another name, or replace it with --again: older figures then cannot be compared."
        )
    with files.fresh_folder(folder) as fresh:
        extractor.save(fresh)
    say(f"{wanted.name}: {wanted.architecture}, tap {tap}, {extractor.dimension} features, of {path.name} ({digest})")
    if left:
        say(f"{wanted.name}: {len(left)} tensors behind that tap were left out: {left[0]} to {left[-1]}")
    return extractor.digest


def _check_name(params: Params, name: str) -> None:
    check_name(name, f"`{name}`")
    if name in params.datasets:
        raise BadParamsError(
            f"`{name}` is a dataset, and the extractor of that name is the one that is trained on it. Import under "
            f"another name, such as `{name}-features`, and set the dataset's `extractor:` to that."
        )


def _architecture(name: str) -> Architecture:
    if name == strided.NAME:
        raise BadParamsError(
            f"`{name}` is what is trained on a dataset's own images: `genflows extractor DATASET` does it. Import "
            f"one of: {', '.join(registry.BUILT_IN)}, or an architecture that an installed package registers."
        )
    return registry.find(name)


def _tap(architecture: Architecture, wanted: Wanted) -> str:
    taps = list(architecture.taps)
    if wanted.tap is None and len(taps) == 1:
        return taps[0]
    if wanted.tap not in taps:
        has = f"has no tap `{wanted.tap}`" if wanted.tap else "has more than one tap"
        raise BadParamsError(f"The architecture `{wanted.architecture}` {has}. {nearest(wanted.tap or '', taps)}")
    return wanted.tap


def _file(workspace: Workspace, architecture: Architecture, wanted: Wanted) -> tuple[Path, str | None]:
    """The file of weights, and the SHA-256 that it must have."""
    if wanted.weights != OFFICIAL:
        return Path(wanted.weights).expanduser(), wanted.sha256
    if architecture.official is None:
        raise BadParamsError(
            f"The architecture `{wanted.architecture}` names no official weights. Give a file: `--weights FILE`."
        )
    mirror = Path(os.environ.get(MIRROR, "")).expanduser() if os.environ.get(MIRROR) else None
    found = mirror / FOLDER / architecture.official.name if mirror else None
    if found is None or not found.is_file():
        found = _downloaded(architecture.official, workspace.private / "downloads" / FOLDER)
    return found, wanted.sha256 or architecture.official.sha256


def _downloaded(official: Official, folder: Path) -> Path:
    """The published file, in `folder`. Raises UserError where it cannot be had."""
    target = folder / official.name
    try:
        download(official.address, official.sha256, target)
    except OSError as error:
        raise UserError(
            f"The published weights could not be had from {official.address} ({error}). Download them on a machine "
            f"that reaches it and name the file with --weights, or put it as {FOLDER}/{official.name} below the folder "
            f"that {MIRROR} names."
        ) from None
    return target


@torch.inference_mode()
def _try(extractor: Extractor) -> None:
    """Let one black image through. Raises UserError where the features are not what the architecture says."""
    architecture, description = extractor.architecture, extractor.description
    side = architecture.largest or max(architecture.smallest, 32)
    black = torch.zeros(1, side, side, architecture.channels[0], dtype=torch.uint8)
    made = extractor.network.features(architecture.prepare(black))
    if made.shape != (1, extractor.dimension) or not bool(torch.isfinite(made).all()):
        raise UserError(
            f"The architecture `{description.architecture}` makes features of shape {tuple(made.shape[1:])} at the tap "
            f"`{description.tap}`, or some that are not finite, and not {extractor.dimension} as it says. Mend the "
            "package that registers it, or take other weights."
        )
