"""Finding a word: in the newest definitions, in what the last runs were given, in late errors.

Every part has a bound on what it reads: to search in a big store takes no longer than a look.
"""

from __future__ import annotations

from typing import NamedTuple

from store.connection import Database

FOUND_MAX = 20  # of each kind
RUNS_BACK = 5_000  # whose parameters and notes are read
FAILED_BACK = 100  # runs whose errors are read
ATTEMPTS_BACK = 200_000  # of those runs: 0.1 µs each
WORKFLOWS_MAX = 500

_STEPS = """
SELECT w.workflow, d.name FROM (
  SELECT workflow, (SELECT definition_id FROM run_rows r WHERE r.workflow = n.workflow
                    AND definition_id IS NOT NULL ORDER BY r.id DESC LIMIT 1) AS definition_id
  FROM (SELECT value AS workflow FROM json_each(?2)) n) w
JOIN definition_steps d ON d.definition_id = w.definition_id
WHERE d.name LIKE ?1 ESCAPE '\\' LIMIT ?3"""
_RUNS = """
SELECT id, workflow, status, substr(params, 1, 1000), substr(note, 1, 1000) FROM (
  SELECT id, workflow, status, params, note FROM run_rows ORDER BY id DESC LIMIT ?2)
WHERE params LIKE ?1 ESCAPE '\\' OR note LIKE ?1 ESCAPE '\\' ORDER BY id DESC LIMIT ?3"""
_ERRORS = """
SELECT r.id, r.workflow, d.name, a.number, substr(a.error, 1, 1000) FROM (
  SELECT id, workflow, definition_id, sum(attempts) OVER (ORDER BY id DESC) - attempts AS later
  FROM (SELECT id, workflow, status, definition_id, attempts FROM run_rows
        ORDER BY id DESC LIMIT ?2)
  WHERE status IN ('failed', 'interrupted', 'running') ORDER BY id DESC LIMIT ?4) r
CROSS JOIN attempt_rows a ON a.run_id = r.id AND a.outcome <> 'ok'
CROSS JOIN definition_steps d ON d.definition_id = r.definition_id AND d.position = a.position
WHERE r.later <= ?5 AND a.error LIKE ?1 ESCAPE '\\' LIMIT ?3"""


class InRun(NamedTuple):
    """A run whose parameters or note hold the word."""

    run_id: int
    workflow: str
    status: str
    params: str
    note: str


class InError(NamedTuple):
    """An attempt whose error holds the word."""

    run_id: int
    workflow: str
    step: str
    number: int
    error: str


class Hits(NamedTuple):
    """All that was found; `steps` are (workflow, step)."""

    steps: list[tuple[str, str]]
    runs: list[InRun]
    errors: list[InError]


def search(database: Database, word: str, workflows: str) -> Hits:
    """Look for a word, whatever the case of its plain letters.

    `workflows` is the JSON list of those whose steps are looked through.
    """
    like = f"%{escaped(word)}%"
    with database.read() as cursor:
        steps = cursor.execute(_STEPS, (like, workflows, FOUND_MAX)).fetchall()
        runs = cursor.execute(_RUNS, (like, RUNS_BACK, FOUND_MAX)).fetchall()
        bounds = (RUNS_BACK, FOUND_MAX, FAILED_BACK, ATTEMPTS_BACK)
        errors = cursor.execute(_ERRORS, (like, *bounds)).fetchall()
    return Hits(steps, [InRun(*row) for row in runs], [InError(*row) for row in errors])


def escaped(word: str) -> str:
    r"""Give a word for LIKE with `\`, in which nothing stands for anything else."""
    for special in ("\\", "%", "_"):
        word = word.replace(special, f"\\{special}")
    return word
