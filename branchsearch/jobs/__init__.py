"""A search job: its spec, its states, its steps."""
