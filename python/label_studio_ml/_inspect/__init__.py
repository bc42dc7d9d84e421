"""What can be told about a project by looking at it: its script and class, its requirements."""
