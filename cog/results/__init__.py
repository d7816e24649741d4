"""One row a result: cells, tables, summaries, differences, tables for papers.

In: cells/*.json, or a table that was written before. Out: one tidy table (table.py, read first)
and views of it.
"""
