"""The stages, each a worker that runs without Ray."""
