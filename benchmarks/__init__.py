"""Measure every promise that lowtide makes about its own cost: `make bench`."""
