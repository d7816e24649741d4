"""One row a result: cells, the table of all, and views of it.

In: the files of finished cells, or a table that was written before. Out: results.csv, summaries,
differences, tables for papers, comparisons of runs. Read columns.py first, then table.py.
"""
