"""Which images train, select and report: a rule that never moves an image when others come or go."""

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def fraction(group: str, purpose: str) -> float:
    """A number in [0, 1) that follows from `group` alone: uniform over groups, independent between purposes."""
    digest = hashlib.sha256(f"{purpose}:{group}".encode()).digest()
    # 53 bits, as many as a float holds: 64 could round up to 1.
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def assign(index: pd.DataFrame, select: float, report: float) -> NDArray[np.str_]:
    """The split of each row of a snapshot's index: `train`, `select` or `report`.

    Where the source has an official test set, that is `report`; otherwise a share `report` of all groups is. A share
    `select` of all groups is `select`. A row's split follows from its group's hash, so equal groups share a split.
    """
    official = index["official"].to_numpy(bool)
    position = np.array([fraction(group, "split") for group in index["group"]])
    chosen = official if official.any() else position < report
    # The same interval with and without a test set: one that appears later moves nothing between train and select.
    selected = (position >= report) & (position < report + select)
    return np.select([chosen, selected], ["report", "select"], "train")
