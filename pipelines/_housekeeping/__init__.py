"""The functions behind `pipelines/housekeeping.yaml`."""
