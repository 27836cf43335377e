"""Where results are kept: the workspace, its tables, and the record of what became of every item."""
