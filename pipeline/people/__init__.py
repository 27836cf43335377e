"""Names of people: how they are compared, and which tracks they belong to."""
