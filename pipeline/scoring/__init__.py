"""From embeddings to scores to probabilities, and measures of how good they are."""
