"""The command line: one command, one file."""

from lowtide.cli.app import main

__all__ = ["main"]
