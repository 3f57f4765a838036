"""A product catalogue: search with facets, bulk import, NDJSON export. State lives in memory.

Start it with `python -m uvicorn examples.catalogue.app:app`.
"""
