"""Whether this machine computes what it should, and how fast: the acceptance test of a machine.

In: a device, perhaps images and a model. Out: a `Diagnosis`. Read doctor.py first; machine.py and
disk.py say what is there, speed.py measures, bottleneck.py makes a sentence of it, pixels.py
and agreement.py compare the device with the CPU.
"""
