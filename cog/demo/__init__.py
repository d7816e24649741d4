"""`cog demo`: the whole program in a minute, on images that it draws itself.

In: nothing. Out: a folder with a finished run (run.py, read first).
"""
