"""A server as a real process, asked by real clients."""
