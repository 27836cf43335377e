"""From embeddings to scores to probabilities, and what those are worth."""
