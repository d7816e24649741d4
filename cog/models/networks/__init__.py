"""The networks of the table that no library has.

In: the options of a row of zoo.csv. Out: an untrained torch module that the published weights fit.
Read same_padding.py first, the smallest.
"""
