"""Training of encoders: data and views, augmentations, objectives, the loop and its log."""
