"""All that a workflow, a step and a parameter may say in YAML or JSON: one table of each.

Reading, messages, the JSON Schema and the table in the documents are made from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from engine.definitions import collection_forms, forms, time_forms
from engine.definitions.forms import Asked, Form
from engine.definitions.nodes import Kind, Node
from engine.model import (
    ALERT_ON,
    OVERLAP,
    RETRIES_MAX,
    OnOverrun,
    Order,
    TriggerRule,
)
from engine.param_values import TYPE_NAMES
from engine.records import record
from engine.slots import PAUSE_AFTER_MAX, Catchup


class Body(StrEnum):
    """Which body of a step a key goes with."""

    ANY = ""
    FUNCTION = "fn"
    COMMAND = "command"


@record
class Field:
    """One key: what its value may be, and what it means."""

    name: str
    form: Form
    help: str
    required: bool = False
    body: Body = Body.ANY


@record
class Table:
    """The keys of one kind of mapping; `elsewhere` has what other tools call them."""

    fields: Mapping[str, Field]
    elsewhere: Mapping[str, str]

    @classmethod
    def of(cls, meant: Mapping[str, str], *fields: Field) -> Table:
        """Make a table; `meant` has, by key, the words that mean it elsewhere."""
        elsewhere = {word: name for name, words in meant.items() for word in words.split()}
        return cls({one.name: one for one in fields}, elsewhere)

    @property
    def names(self) -> list[str]:
        """All keys, in order."""
        return list(self.fields)


_PATH = forms.filled("a path", "data/in.csv")
_PARAMS = collection_forms.nested("a mapping of parameters", Kind.MAPPING, {"type": "object"})
_STEPS = collection_forms.nested(
    collection_forms.A_LIST_OF_STEPS,
    Kind.LIST,
    {"type": "array", "minItems": 1},
    "[{name: a, command: make}]",
)
_ENDS = {"failure": "failed failures error errors on_failure", "always": "all any true yes on"}
_RULES = {
    "all_success": "success on_success all_succeeded",
    "none_failed": "none_failed_min_one_success none_failed_or_skipped all_done_min_one_success",
    "all_done": "always all any done cleanup",
    "one_failed": "failure failed on_failure all_failed",
}
_TYPES = {
    "str": "string text varchar char",
    "int": "integer long number",
    "float": "double decimal real",
    "bool": "boolean flag",
    "date": "day",
    "datetime": "timestamp date_time time",
    "path": "file folder directory dir filename filepath",
    "choice": "enum select options list string_choice",
}
_VALUES = collection_forms.nested("a list of values", Kind.LIST, {"type": "array", "minItems": 1})

WORKFLOW = Table.of(
    {
        "steps": "jobs tasks stages pipeline dag nodes actions sequence",
        "schedule": "cron on schedule_interval timer trigger triggers when",
        "tz": "timezone time_zone zone",
        "catchup": "catch_up backfill",
        "params": "parameters inputs variables vars args",
        "name": "title id dag_id alias workflow",
        "overlap": "concurrency max_active_runs mode",
        "alert_on": "notify notifications on_failure",
        "order": "priority weight_rule priority_weight scheduling",
    },
    Field("name", forms.WORKFLOW_NAME, "the file's name; may be left out"),
    Field("description", forms.text(), "shown by `list`"),
    Field(
        "schedule", time_forms.SCHEDULE, 'when a timer runs it: `"*-*-* 08:00:00"`, `"0 8 * * 1-5"`'
    ),
    Field(
        "tz", time_forms.ZONE, "what the schedule, `today` and shown times follow: `Europe/Berlin`"
    ),
    Field("catchup", forms.one_of(Catchup), "which missed slots of the schedule are run"),
    Field(
        "pause_after",
        forms.integer(1, PAUSE_AFTER_MAX),
        "after so many failed runs in a row the schedule is paused",
    ),
    Field("deadline", time_forms.DEADLINE, "when a timer's run is to have ended: `09:30`, `2h`"),
    Field("max_duration", forms.DURATION, "a run that is on for longer is told of"),
    Field("ping", time_forms.PING, "the secret with the URL that a timer's runs are told to"),
    Field("hardening", time_forms.HARDENING, "what a timer keeps the steps from: `strict`"),
    Field("params", _PARAMS, "names to a plain default, or to what is told below"),
    Field("overlap", forms.one_of(OVERLAP), "`params`: runs with other parameters may overlap"),
    Field("resume_within", forms.DURATION_OR_0, "how old a chain may be for `run` to go on"),
    Field("alert_on", forms.one_of(ALERT_ON, _ENDS), "which ends of runs are told"),
    Field("order", forms.one_of(Order), "which ready steps start first"),
    Field("dry_run", forms.BOOLEAN, "every run only plans"),
    Field("steps", _STEPS, "the steps, each a mapping", required=True),
)

STEP = Table.of(
    {
        "depends_on": "needs requires after upstream upstreams dependencies depends deps",
        "when": "if condition conditions unless only",
        "command": "run script cmd shell bash_command bash exec entrypoint args",
        "fn": "python_callable function callable module uses operator python",
        "name": "id title task_id step job alias",
        "env": "environment vars variables with",
        "cwd": "working-directory working_directory working_dir workdir dir",
        "retries": "retry max_retries attempts retry_limit max_attempts",
        "backoff": "wait retry_delay delay retry_wait",
        "timeout": "timeout-minutes timeout_minutes execution_timeout timeout_s deadline",
        "trigger_rule": "continue-on-error continue_on_error allow_failure ignore_errors",
        "output": "outputs artifacts file",
    },
    Field("name", forms.STEP_NAME, "unique in its workflow", required=True),
    Field("fn", forms.DOTTED, "a Python function, called as `fn(ctx)`: `mypackage.steps.fetch`"),
    Field("command", collection_forms.COMMAND, "text for bash, or a list of words run as it is"),
    Field("depends_on", collection_forms.NAMES, "the steps that come before"),
    Field("retries", forms.integer(0, RETRIES_MAX), "further attempts after the first"),
    Field("timeout", forms.DURATION, "the limit of one attempt"),
    Field("max_duration", forms.DURATION, "an attempt that runs for longer is told of"),
    Field("trigger_rule", forms.one_of(TriggerRule, _RULES), "what it asks of its upstreams"),
    Field(
        "when",
        forms.filled("a condition", "fetch.rows > 0"),
        "false skips the step: `fetch.rows > 0`",
    ),
    Field("backoff", forms.DURATION_OR_0, "upper bound of the first wait before a retry"),
    Field("backoff_max", forms.DURATION_OR_0, "where the doubling of waits ends"),
    Field(
        "retry_on", collection_forms.EXCEPTIONS, "what is worth a retry: `OSError`, `pkg.mod.Error`"
    ),
    Field("output", _PATH, "the command's one declared file", body=Body.COMMAND),
    Field("env", collection_forms.ENV, "variables set for the command", body=Body.COMMAND),
    Field("cwd", _PATH, "where the command runs", body=Body.COMMAND),
    Field("ok_codes", collection_forms.CODES, "exit codes that mean success", body=Body.COMMAND),
    Field("version", forms.text(), "changed, it makes a continued run do the step again"),
    Field(
        "on_overrun",
        forms.one_of(OnOverrun),
        "what a retry does while a timed-out attempt still runs",
        body=Body.FUNCTION,
    ),
    Field("isolate", forms.BOOLEAN, "a process of its own for it", body=Body.FUNCTION),
    Field("grace", forms.DURATION_OR_0, "from SIGTERM to SIGKILL"),
)
PYTHON_ONLY = ("retry", "wait")  # objects of Python, which no text can be


def _scalar() -> Form:
    def read(asked: Asked, node: Node, form: Form) -> Any:
        if node.kind in (Kind.MAPPING, Kind.LIST, Kind.NOTHING):
            return asked.misfit(node, form)
        return node

    return Form("one value", {"type": ["string", "number", "boolean"]}, read)


PARAMETER = Table.of(
    {
        "type": "kind format",
        "default": "value example",
        "choices": "enum options values allowed",
        "help": "description label",
    },
    Field(
        "type",
        forms.one_of(TYPE_NAMES, _TYPES),
        "the type of its values; if left out, that of `default`",
    ),
    Field("default", _scalar(), "its value where none is given; without one it is required"),
    Field("choices", _VALUES, "all the values it may have"),
    Field("help", forms.text(), "one sentence on it"),
)
