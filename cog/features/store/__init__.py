"""The Zarr store of features: chunks that are whole or absent.

In: features of an image list. Out: the same features, verified (store.py, read first).
"""
