"""The protocol: evaluates models on datasets.

In: models, datasets and options. Out: features, and for every cell one row of results. Read
evaluate.py first, from top to bottom; plan.py says what a run will do, estimate.py what it costs.
"""
