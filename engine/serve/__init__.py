"""The dashboard: pages over the store, read-only, for this user on this machine.

The only place that imports starlette and uvicorn, which `kahnban[serve]` installs.
"""
