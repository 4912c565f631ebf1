"""Benchmarks of the packages against their peers, and the bars that they are to keep.

`python -m tests.benchmarks --help`, from the repository root, or `hatch run bench:run`. A newcomer
reads `rows.py`, then one module of rows (`bridge.py`), then `runner.py`.
"""
