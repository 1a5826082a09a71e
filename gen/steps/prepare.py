"""prepare@DATASET: a snapshot in, square images of one size in shards with their splits and a profile out."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from gen import files, images, workers
from gen.config import Dataset, Params
from gen.datasets import SPLITS, Split
from gen.errors import TooFewImagesError
from gen.images import Pixels
from gen.patterns import Points
from gen.plane import SHOWN, Box, scatter
from gen.shards import Shards, stream_shards
from gen.snapshot import PAIRS, Snapshot, resized
from gen.splits import assign
from gen.workers import Hire
from gen.workspace import Workspace

FEWEST = 16
"""Images that each domain needs in each split."""
BLOCK = 32
"""Images that are prepared at once by whoever prepares them."""


def prepare(workspace: Workspace, params: Params, name: str, hire: Hire | None = None) -> None:
    """Write data/prepared/NAME (see gen.datasets) from data/raw/NAME, by those whom `hire` brings or by this process.

    Raises UserError when the dataset is not ingested, TooFewImagesError when a split comes out too small.
    """
    dataset = params.dataset(name)
    snapshot = Snapshot(workspace.raw(name))
    with files.fresh_folder(workspace.prepared(name)) as folder:
        sheet = _sheet(snapshot, dataset)
        _check_enough(name, dataset, snapshot, sheet)
        for split in SPLITS:
            for domain in snapshot.domains:
                rows = rows_of(snapshot, dataset, split, domain)
                blocks = prepared_blocks(snapshot, rows, dataset, hire)
                stream_shards(folder / split / domain, blocks, len(rows), _labels(snapshot, rows, domain))
            if split != "train" and PAIRS in set(snapshot.index["domain"]):
                rows = _pair_rows(snapshot, dataset, split)
                stream_shards(folder / split / PAIRS, prepared_blocks(snapshot, rows, dataset, hire), len(rows))
        train = [Shards(folder / "train" / domain) for domain in snapshot.domains]
        if dataset.holds_points:
            images.write_png(folder / "points.png", scatter(train[0][:SHOWN]))
        else:
            means = [_mean(shards) for shards in train]
            images.write_png(folder / "mean.png", images.grid(np.stack(means), columns=len(means)))
        columns = ["sha256", "split", "domain", "label", "row"]
        sheet[columns].to_csv(folder / "index.csv", index=False, lineterminator="\n")
        files.write_json(folder / "profile.json", _profile(snapshot, dataset, sheet))


def prepared_arrays(
    snapshot: Snapshot, dataset: Dataset, split: Split, domain: str
) -> tuple[Pixels, NDArray[np.int64] | None]:
    """One domain of one split as prepared: images [N, size, size, channels] in the order of their hashes.

    Labels [N] are positions in `snapshot.labels`, or None unless every image of the domain has one.
    """
    rows = rows_of(snapshot, dataset, split, domain)
    return squares(snapshot, rows, dataset), _labels(snapshot, rows, domain)


def rows_of(snapshot: Snapshot, dataset: Dataset, split: Split, domain: str) -> NDArray[np.int64]:
    """Positions in the snapshot's index of one domain of one split, in the order of their hashes."""
    splits = assign(snapshot.index, dataset.select, dataset.report)
    return np.flatnonzero((splits == split) & (snapshot.index["domain"] == domain).to_numpy()).astype(np.int64)


def _pair_rows(snapshot: Snapshot, dataset: Dataset, split: Split) -> NDArray[np.int64]:
    """Positions of the pairs of domain `a`, in its order."""
    originals = snapshot.index["sha256"].where(snapshot.index["domain"] == PAIRS)
    position = {sha256: row for row, sha256 in enumerate(originals) if isinstance(sha256, str)}
    groups = snapshot.index["group"].to_numpy()
    return np.array([position[groups[row]] for row in rows_of(snapshot, dataset, split, "a")], np.int64)


def squares(snapshot: Snapshot, rows: NDArray[np.int64], dataset: Dataset) -> Pixels:
    """The images at some positions of the snapshot's index as prepared: [N, size, size, channels].

    Points are mapped into the box of all points of the snapshot.
    """
    if dataset.holds_points:
        return _box(snapshot).inside(_points(snapshot, rows))
    return np.concatenate(
        [
            np.empty((0, dataset.size, dataset.size, dataset.channels), np.uint8),
            *prepared_blocks(snapshot, rows, dataset),
        ]
    )


def prepared_blocks(
    snapshot: Snapshot, rows: NDArray[np.int64], dataset: Dataset, hire: Hire | None = None
) -> Iterator[Pixels]:
    """The same in blocks of BLOCK images; points all at once."""
    if dataset.holds_points:
        yield squares(snapshot, rows, dataset)
        return
    pieces = (
        ([snapshot.pixels(int(row)) for row in rows[start : start + BLOCK]], dataset.size, dataset.channels)
        for start in range(0, len(rows), BLOCK)
    )
    yield from workers.each(_squared, pieces, hire)


def _squared(piece: tuple[list[Pixels], int, int]) -> Pixels:
    pixels, size, channels = piece
    return np.stack([square(each, size, channels) for each in pixels])


def _mean(shards: Shards) -> Pixels:
    """The mean image, [size, size, channels]."""
    total = np.zeros(shards.shape[1:], np.int64)
    for start in range(0, len(shards), BLOCK):
        total += shards[start : start + BLOCK].sum(axis=0, dtype=np.int64)
    return (total / len(shards)).round().astype(np.uint8)


def _box(snapshot: Snapshot) -> Box:
    return Box.around(_points(snapshot, np.arange(len(snapshot.index))))


def _points(snapshot: Snapshot, rows: NDArray[np.int64]) -> Points:
    """Of a snapshot of points, in their own units: [N, 2]."""
    return np.stack([snapshot.pixels(int(row))[0, 0] for row in rows]).astype(np.float64)


def square(pixels: Pixels, size: int, channels: int) -> Pixels:
    """An image [H, W, C]: its central square, resized to [size, size, channels].

    Grey becomes RGB by repetition, RGB becomes grey by luminance (ITU-R 601).
    """
    height, width, has = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    pixels = resized(pixels[top : top + side, left : left + side], size, size)
    if has == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]


def _labels(snapshot: Snapshot, rows: NDArray[np.int64], domain: str) -> NDArray[np.int64] | None:
    names = snapshot.index["label"]
    if not snapshot.labels or (names[snapshot.index["domain"] == domain] == "").any():
        return None
    number = {name: position for position, name in enumerate(snapshot.labels)}
    return np.array([number[name] for name in names.iloc[rows]], np.int64)


def _sheet(snapshot: Snapshot, dataset: Dataset) -> pd.DataFrame:
    """The snapshot's index with each image's split, and its row among the images of its split and domain."""
    sheet = snapshot.index.assign(split=assign(snapshot.index, dataset.select, dataset.report))
    sheet = sheet[sheet["domain"] != PAIRS]
    return sheet.assign(row=sheet.groupby(["split", "domain"]).cumcount())


def _counts(snapshot: Snapshot, sheet: pd.DataFrame) -> dict[str, dict[str, int]]:
    return {
        split: {
            domain: int(((sheet["split"] == split) & (sheet["domain"] == domain)).sum()) for domain in snapshot.domains
        }
        for split in SPLITS
    }


def _check_enough(name: str, dataset: Dataset, snapshot: Snapshot, sheet: pd.DataFrame) -> None:
    counts = _counts(snapshot, sheet)
    if min(count for domains in counts.values() for count in domains.values()) >= FEWEST:
        return
    found = "; ".join(
        f"{split} {', '.join(f'{count} in {domain}' for domain, count in domains.items())}"
        for split, domains in counts.items()
    )
    raise TooFewImagesError(
        f"Dataset `{name}` splits into too few images: {found}; each needs {FEWEST}. Add images, or raise the shares "
        f"`datasets.{name}.select` ({dataset.select}) and `report` ({dataset.report})."
    )


def _profile(snapshot: Snapshot, dataset: Dataset, sheet: pd.DataFrame) -> dict[str, Any]:
    """What there is to know about a prepared dataset before it is used."""
    labelled = sheet["label"].value_counts()
    return {
        **(_of_points(snapshot) if dataset.holds_points else {}),
        "domains": list(snapshot.domains),
        "size": dataset.size,
        "channels": dataset.channels,
        "counts": _counts(snapshot, sheet),
        "labels": snapshot.labels,
        "label_counts": [int(labelled[name]) for name in snapshot.labels],
        "official_test": bool(sheet["official"].any()),
        "pairs": PAIRS in set(snapshot.index["domain"]),
        "source": {
            "description": snapshot.summary["source"],
            "height": _spread(sheet["height"]),
            "width": _spread(sheet["width"]),
            "grey": int((sheet["channels"] == 1).sum()),
            "duplicates": snapshot.summary["duplicates"],
            "quarantined": sum(snapshot.summary["quarantined"].values()),
        },
    }


def _of_points(snapshot: Snapshot) -> dict[str, Any]:
    """What else there is to know of points."""
    return {"box": _box(snapshot).model_dump(), "distribution": snapshot.summary.get("distribution")}


def _spread(values: "pd.Series[int]") -> dict[str, float]:
    """Smallest, median and largest of some pixel counts."""
    return {"min": int(values.min()), "median": float(values.median()), "max": int(values.max())}
