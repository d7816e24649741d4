"""Experiment trackers: each row of the results is written to one once, as it comes.

In: rows of a run, `--log NAME`. Out: a run of the tracker for each model, and beside the cells what
was logged. Read table.py first, then logged.py.
"""
