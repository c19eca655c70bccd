"""How alike tasks represent images at each stage."""
