"""Where images are, their bytes, decoding and preprocessing.

In: a root and wnids. Out: a listing of images (find.py, read first), their bytes, and pixels as a
model wants them.
"""
