"""Schedules: read, their slots, and the systemd timers and crontab lines that wake us for them."""
