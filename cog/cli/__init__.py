"""The command line: each command parses, calls one function and prints.

In: words. Out: results and paths on stdout, progress and talk on stderr, an exit status (main.py,
read first).
"""
