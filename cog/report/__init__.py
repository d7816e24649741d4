"""Pages and figures of results and levels for people.

In: rows of results, accuracies by concept, levels. Out: one HTML page that works without a network
(build.py), figures for papers (figures.py), the level explorer (explorer.py). Every number comes
from these files. Read page_data.py first.
"""
