"""Frozen networks in whose features images are compared: one file for each architecture, and how weights fit one."""
