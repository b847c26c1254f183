"""Alerts: what a message says (pure), how it leaves (Slack, email), and the outbox's delivery.

`digest` turns a run's report into what is to be said (`content`); `blocks` lays that out for Slack,
within what `slack_limits` knows of it, `letter` for email;
`slack` and `mail` send it, `delivery` empties the store's outbox through them.
"""
