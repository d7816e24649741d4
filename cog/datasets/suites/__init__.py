"""Suites: datasets that papers report together, each with where it lies and how it is evaluated.

In: the name of a suite of ours or a TOML file of the same form, and the folder where the datasets
lie. Out: the datasets of a run. Read cog.toml first, then suite.py; at_root.py says what is there.
"""
