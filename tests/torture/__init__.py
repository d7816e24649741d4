"""Attacks that end in a report: `python -m tests.torture` (see docs/reliability.md)."""
