"""Frozen networks on images: features in Zarr stores, on disk or at a URL.

In: models, image lists, settings, an executor. Out: a store for each model, dataset and split,
whose chunks are whole or absent. extract.py is the file to read first; chunks.py makes one chunk,
executors/ says where, store/ keeps it, exchange.py reads and writes the features of other code.
"""
