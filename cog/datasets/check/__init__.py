"""`cog check-data`: check a copy of the images before a run.

In: the roots of the images, and which datasets are wanted. Out: what is missing, short or damaged,
as values and as a report in CSV. Read check.py first.
"""
