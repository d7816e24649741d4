"""Weights files: found, downloaded, read without running code, renamed, loaded strictly.

In: a path or an address. Out: tensors by name (checkpoints.py, read first).
"""
