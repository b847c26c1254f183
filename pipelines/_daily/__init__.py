"""The parts of the daily operations report; `pipelines/daily.py` wires them into steps."""
