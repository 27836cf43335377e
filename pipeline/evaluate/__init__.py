"""Evaluation: what an encoder's claims about identity are worth, on any labelled singing."""
