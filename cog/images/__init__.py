"""Where images are, their bytes, decoding and preprocessing.

In: a root and wnids. Out: a listing of images, their bytes, and pixels as a model needs them. Read
find.py first.
"""
