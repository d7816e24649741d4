"""Feature stores: Zarr groups in chunks that are whole or absent.

In: the features of an image list, chunk by chunk. Out: the same features, and whether they are
intact. store.py is the file to read first.
"""
