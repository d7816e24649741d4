"""Networks of the table that no library has.

In: a row of zoo.csv. Out: a torch module with the names of the published weights, so that they
load strictly.
"""
