"""Levels: concepts ranked by their similarity to the seen ones and cut into windows.

In: a `LevelsRecipe`. Out: levels.csv and what explains it (build.py, read first).
"""
