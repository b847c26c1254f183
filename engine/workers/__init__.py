"""Where an attempt runs: threads and commands."""
