"""The program `cog`, and `python -m cog`: it watches for signals before it imports the rest."""

from __future__ import annotations

from typing import NoReturn

from cog.interruption import watch


def start() -> NoReturn:
    """Run the command line and exit."""
    watch()
    from cog.cli.main import run

    run()


if __name__ == "__main__":
    start()
