"""What is evaluated: ImageNet-1K and the levels, each split into training and test images.

In: roots of images, levels, official lists. Out: `Dataset`s of two `ImageList`s each. Read find.py
first. `check/` checks a copy of the data before a run.
"""
