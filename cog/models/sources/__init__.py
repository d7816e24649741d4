"""The forms of a model's name, one file each.

In: the part of the name after its prefix, and how to load it. Out: a `Model` on the CPU. Read
table.py first, then from_zoo.py.
"""
