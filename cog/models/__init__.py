"""Pretrained networks by their names: `load_model(spec)` gives a frozen `Model`.

In: a name in one of its forms, and perhaps a file of weights. Out: a `Model` with its
preprocessing. Read load.py first. `sources/` has one file for each form of name, `networks/` what
no library has, `weights/` downloads, reading and renaming.
"""
