"""Training without labels: the loop, its data and views, what it learns by, and what it leaves."""
