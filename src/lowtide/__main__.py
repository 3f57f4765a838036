"""`python -m lowtide`: the command line, whatever PATH says."""

from lowtide.cli import main

main()
