"""The Frechet distance of infinitely many images.

A Frechet distance between n and m images is too large on average, by a/n + b/m to first order, and the more so the
worse the generator: it does not rank generators alike at all counts (Chong & Forsyth 2020, section 3, which fits a line
in 1/n to distances at several n). Half of the images on both sides double that bias, whatever a and b are. So
2 D(n, m) - mean D(n/2, m/2) is free of it: the line through two counts, the lower of which is measured R times.
"""

import numpy as np

from gen.metrics.distribution import Distance

VERSION = 1


def at_infinity(distance: Distance) -> tuple[float, float] | None:
    """A Frechet distance on infinitely many images of either side, and its standard deviation.

    Like a kernel distance it may be below 0. None where half of the images were too few for a distance.
    """
    if distance.halves is None:
        return None
    # To first order the chance in twice the whole less its halves is that of the whole, but for the mean of R halves.
    deviation = distance.halves.std(ddof=1) * np.sqrt(1 + 1 / len(distance.halves))
    return float(2 * distance.value - distance.halves.mean()), float(deviation)
