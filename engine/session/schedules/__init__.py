"""Schedules held against the store: what is noted, which slots are due, paused or missing."""
