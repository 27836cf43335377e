"""Augmentations: batched torch functions of a wave and drawn values, and the chain that draws and applies them."""
