"""Isolated steps: the fork server, its children, and what they and the engine say to each other."""
