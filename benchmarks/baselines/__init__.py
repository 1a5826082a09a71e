"""The loops that people copy from tutorials, as they stand there, on our networks."""
