"""The feeder: images in their files to batches of pixels, ahead of their use.

In: an image list, slices of its rows, preprocessings, a `Feeding`. Out: a `Batch` for each slice.
Read first: feed.py.
"""
