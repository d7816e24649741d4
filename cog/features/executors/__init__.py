"""Where features are made: devices of this machine, a worker's share, a Ray cluster.

In: pieces of work. Out: what each gives, as it comes (devices.py, read first).
"""
