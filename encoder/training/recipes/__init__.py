"""How the weights that ship are made, from recordings to a published encoder."""
