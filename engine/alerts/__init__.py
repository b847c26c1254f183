"""Alerts: what a message says (pure), how it leaves (Slack, email), and the outbox's delivery.

`content` turns a run's report into what is to be said, `message` lays that out for each channel,
`slack` and `mail` send it, `delivery` empties the store's outbox through them.
"""
