"""`cog demo`: the whole program in a minute, on images that it draws itself.

In: nothing. Out: a folder with images, levels and results. Read run.py first.
"""
