"""Pictures that follow each other, as one animated file."""

import io

from PIL import Image

from gen.images import Pixels

MILLISECONDS = 80
"""That each picture is shown."""


def webp(pixels: Pixels) -> bytes:
    """Pictures [N, H, W, C] one after the other, again and again, as animated WebP without any loss."""
    first, *others = [
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).convert("RGB") for image in pixels
    ]
    buffer = io.BytesIO()
    first.save(
        buffer, "WEBP", save_all=True, append_images=others, duration=MILLISECONDS, loop=0, lossless=True, quality=100
    )
    return buffer.getvalue()
