"""Evaluation: how well an encoder tells singers apart, on any labelled singing."""
