"""Figures of generators."""
