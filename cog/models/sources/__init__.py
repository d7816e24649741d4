"""Forms of a model's name, one file each.

In: what stands after the prefix. Out: a `Model` on the CPU (from_zoo.py, read first).
"""
