"""Whether a folder of results is what it says: every claim of every file is computed again.

In: a folder of runs, on disk or at a URL, which is only read. Out: what does not hold, a `Finding`
each. Read verify.py first; the other files each check one kind of file.
"""
