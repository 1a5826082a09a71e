"""Figures of one generator, a file for each kind of question; gen.measure asks them all."""
