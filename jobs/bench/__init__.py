"""Benchmarks: what measures speed and accuracy, and what it compares with."""
