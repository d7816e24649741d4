"""The command line: each command parses, calls one function and prints.

In: arguments. Out: results and paths on stdout, progress and messages on stderr, an exit status.
Read main.py first.
"""
