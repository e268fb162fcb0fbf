"""Benchmarks: every figure next to its baseline, measured in the same run.

`make bench` runs them all and prints ratios. Nothing here is a test, for a loaded machine is slow
without anything being wrong.
"""
