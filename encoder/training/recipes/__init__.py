"""Recipes: how the weights that ship were made, runnable again on data of the same form."""
