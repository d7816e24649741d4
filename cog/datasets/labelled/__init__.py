"""Datasets of any labelled images: `cog evaluate --dataset NAME=SOURCE`.

In: names and sources. Out: `Dataset`s, each split as its source defines, or by a seeded draw. Read
labelled.py first, then folders.py, the simplest form; find.py says which form a source has.
"""
