"""What is evaluated: ImageNet-1K and the levels, each split into training and test images.

In: roots of images, levels, official lists. Out: `Dataset`s of two `ImageList`s (find.py, read
first). `check/` looks a copy of the data through before a run.
"""
