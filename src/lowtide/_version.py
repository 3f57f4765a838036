"""The version, once: pyproject.toml reads it from here, and so does all code inside the package."""

__version__ = "0.1.0"
