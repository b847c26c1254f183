"""All that a workflow, a step and a parameter may say in YAML or JSON: one table of each.

Messages, the JSON Schema and the documents are made from these.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.definitions import forms
from engine.definitions.forms import Form
from engine.definitions.nodes import Kind
from engine.model import ALERT_ON, OVERLAP, RETRIES_MAX, OnOverrun, TriggerRule


class Body(StrEnum):
    """Which body of a step a key goes with."""

    ANY = "either"
    FUNCTION = "fn"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Field:
    """One key: what its value may be, and what it means."""

    name: str
    form: Form
    help: str
    required: bool = False
    body: Body = Body.ANY


WORKFLOW = (
    Field("name", forms.NAME, "as the file is named; may be left out"),
    Field("description", forms.text(), "shown by `list`"),
    Field(
        "schedule",
        forms.filled("a systemd calendar expression", '"*-*-* 08:00:00"'),
        "a systemd calendar expression",
    ),
    Field(
        "timezone",
        forms.filled("an IANA time zone", "Europe/Berlin"),
        "an IANA name; schedule and `today` follow it",
    ),
    Field("params", forms.anything("a mapping of parameters", Kind.MAPPING), "parameters, by name"),
    Field("overlap", forms.one_of(OVERLAP), "what may run beside each other"),
    Field(
        "resume_within", forms.DURATION_OR_0, "how old a chain may be for `run` to go on with it"
    ),
    Field("alert_on", forms.one_of(ALERT_ON), "which runs are told of"),
    Field("dry_run", forms.BOOLEAN, "every run only plans"),
    Field("steps", forms.anything("a list of steps", Kind.LIST), "the steps", required=True),
)

STEP = (
    Field("name", forms.NAME, "unique in its workflow", required=True),
    Field(
        "fn",
        forms.filled("the dotted name of a Python function", "mypackage.steps.fetch"),
        "a Python function, called with ctx",
    ),
    Field("command", forms.COMMAND, "text for a shell, or a list of words run as it is"),
    Field("depends_on", forms.NAMES, "names of the steps that come before"),
    Field("retries", forms.integer(0, RETRIES_MAX), "further attempts after the first"),
    Field("timeout", forms.DURATION, "the limit of one attempt"),
    Field("trigger_rule", forms.one_of(TriggerRule), "what it asks of its upstreams"),
    Field("when", forms.filled("a condition", "fetch.rows > 0"), "false skips the step"),
    Field("backoff", forms.DURATION_OR_0, "upper bound of the first wait before a retry"),
    Field("backoff_max", forms.DURATION_OR_0, "where the doubling of waits ends"),
    Field("retry_on", forms.WORDS, "exceptions worth a retry"),
    Field(
        "output",
        forms.filled("a path", "out/report.txt"),
        "the one declared file",
        body=Body.COMMAND,
    ),
    Field("env", forms.ENV, "variables set for the command", body=Body.COMMAND),
    Field("cwd", forms.filled("a path", "data"), "where the command runs", body=Body.COMMAND),
    Field("ok_codes", forms.CODES, "exit codes that mean success", body=Body.COMMAND),
    Field("version", forms.text(), "changed, it makes a continued run do the step again"),
    Field(
        "on_overrun",
        forms.one_of(OnOverrun),
        "what a retry does while the timed-out attempt's thread still runs",
        body=Body.FUNCTION,
    ),
    Field("isolate", forms.BOOLEAN, "run the function in a process of its own", body=Body.FUNCTION),
    Field("grace", forms.DURATION_OR_0, "from SIGTERM to SIGKILL"),
)

PARAM_TYPES = ("str", "int", "float", "bool", "date", "datetime", "path", "choice")

PARAMETER = (
    Field("type", forms.one_of(PARAM_TYPES), "what its values are"),
    Field("default", forms.text(), "its value where none is given; without, it is required"),
    Field("choices", forms.anything("a list of values", Kind.LIST), "the values it may have"),
    Field("help", forms.text(), "one sentence on it"),
)
