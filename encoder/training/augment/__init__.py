"""Augmentations: batched torch functions of waves and sampled values, and the chain that samples and applies them."""
