"""A live network evaluated while it trains, on a small fixed sample of the datasets.

In: the roots of images, and from time to time a network. Out: a dict of numbers for a logger. Read
monitor.py first. lightning.py and transformers.py pass the dict on to the loggers of trainers.
"""
