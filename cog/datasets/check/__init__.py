"""`cog check-data`: a copy of the images looked through before a run.

In: a root and the datasets wanted. Out: what is missing, short or damaged (check.py, read first),
as lines for people.
"""
