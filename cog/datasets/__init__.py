"""What is evaluated: ImageNet-1K, levels, any labelled images; each split into train and test.

In: roots of images, levels, official lists, sources of labelled images. Out: `Dataset`s of two
`ImageList`s each. Read find.py first. `labelled/` has the datasets of the user's. `check/` checks a
copy of the data before a run.
"""
