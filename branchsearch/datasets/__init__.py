"""Images with one label per task, in disjoint parts."""
