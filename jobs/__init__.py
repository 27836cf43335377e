"""The Ray entry points: one thin module per stage, `python -m jobs.<stage> CONFIG [section.key=value ...]`."""
