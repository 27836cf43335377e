"""Names of people: how they are written, and which tracks they were given for."""
