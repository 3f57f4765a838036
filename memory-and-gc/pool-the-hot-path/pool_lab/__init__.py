"""The lab: find the site worth pooling in the demo service, pool it, and see what it gave."""

from pathlib import Path

LAB = Path(__file__).parents[1]
ROOT = LAB.parents[1]
PRODUCTS = 10_000
