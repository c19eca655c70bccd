"""What a search found, as figures and pages."""
