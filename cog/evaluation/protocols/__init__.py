"""Protocols by name: how other papers and tools evaluate frozen features, as options and numbers.

In: `--protocol NAME` and the options of a run. Out: these options with what the protocol fixes.
Read protocol.py first, then cog.py, the benchmark's own; table.py has all of them. To add one: a
file with `PROTOCOL = Protocol(...)`, and its name in table.py. A probe or a solver that it needs is
added to cog/probes/table.py, as always: a protocol names them, and fixes their settings.
"""
