"""Weights files: downloaded, read without running their code, renamed, loaded strictly.

In: a path or an address, and a network. Out: the network with every tensor of the file. Read
checkpoints.py first.
"""
