"""Training objectives: pure functions of embeddings, one term a file, the paper where its formula stands.

Each sees the whole batch: with several workers the caller gathers the embeddings first (`training.parallel`), so
that no formula knows about ranks and the gradient does not depend on their number.
"""
