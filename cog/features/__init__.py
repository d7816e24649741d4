"""Frozen networks on images: features in stores on disk.

In: models, image lists, an executor. Out: whole chunks in a Zarr store for each model, dataset and
split (extract.py, read first).
"""
