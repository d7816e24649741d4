"""Where work runs: on devices of this machine or on a Ray cluster, all of it or a share.

In: work. Out: its results, as they come. executor.py is the file to read first.
"""
