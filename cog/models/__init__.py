"""Pretrained networks under one name each: `load_model(spec)` gives a frozen `Model`.

In: a name in any of its forms, or a file of weights. Out: a `Model` with its preprocessing
(load.py, read first). `sources/` has a file for each form of name, `networks/` what no library
has, `weights/` downloads and strict reading.
"""
