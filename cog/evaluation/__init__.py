"""The protocol: models and datasets in, one row of results a cell out.

evaluate.py reads top to bottom and is the file to read first; plan.py says what a run will do,
estimate.py what it costs.
"""
