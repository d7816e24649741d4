"""What is learnt on frozen features, one file for each kind of probe.

In: features and labels of training and test images. Out: for each test image how many classes came
before the right one, and how the hyper-parameters were chosen. Read table.py first.
"""
