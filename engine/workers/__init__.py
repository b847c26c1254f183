"""Where an attempt runs: threads, commands, isolated steps (`engine.workers.isolation`)."""
