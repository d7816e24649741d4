"""`python -m tests.torture`: see `run_all.py`, of which this is the start."""

from tests.torture.run_all import main

if __name__ == "__main__":  # forked processes import this file too
    main()
