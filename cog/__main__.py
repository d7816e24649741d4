"""`python -m cog`: the command line where the name `cog` is taken by another program."""

from cog.cli.main import run

run()
