"""WordNet's nouns: synsets, names, information content, similarity.

In: WordNet's files, or the bundled table. Out: a `Taxonomy` (taxonomy.py, read first), the
measures (measures.py) and similarities on it (similarity.py).
"""
