"""A tree as a graph, a picture and a text."""
