"""Models in transformers' layout: their files, their preprocessing, and their features.

In: a repository of the Hugging Face hub or a folder. Out: a network with one vector an image, and a
`Preprocess`. sources/from_hf.py puts them together; read families.py first.
"""
