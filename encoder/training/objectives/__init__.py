"""Training objectives: pure functions of embeddings, one paper a file, cited where its formula is.

Each sees the whole batch: with several workers the caller gathers the embeddings first (`encoder.training.parallel`),
so that no formula knows about ranks and the gradient does not depend on their number. All return scalars.
"""
