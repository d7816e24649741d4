"""Views of results and levels for people: one self-contained page, figures, the level explorer.

In: results.csv's rows, the per-class files, levels.csv. Out: HTML that asks no network, SVG, PNG.
No number comes from anywhere else.
"""
