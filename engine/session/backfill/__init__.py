"""A backfill: a run of one workflow for each value of one parameter, and itself a run of these.

It is recorded as a run of the workflow `NAME.backfill`, of which each value is a step. So order,
parallelism, going on after failures, record, report, alert, stops and crashes are those of any run.
"""
