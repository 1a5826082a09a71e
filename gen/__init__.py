"""Genflows' library: images in, judged generators out. It knows nothing of Prefect and DVC."""
