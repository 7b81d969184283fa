"""The soak, `trunkline dev soak`: hours of mixed load with faults, and nothing may grow.

It starts the product as a process of its own, on loopback, with a wall clock that runs faster so
that retention has something to forget, and samples memory, descriptors, tasks, threads and the
size of the data from outside.

`town.py` who talks to it and what goes wrong; `model.py` the model that it asks; `gauge.py` the
samples and the verdict; `runner.py` one run.
"""
