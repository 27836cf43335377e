"""Benchmarks: measurements of speed and accuracy, and what they compare with."""
