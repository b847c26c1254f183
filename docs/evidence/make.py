"""Make the evidence in this folder again, from real runs of real processes.

    ./dev list                                 # makes .venv, if it is not there yet
    .venv/bin/python docs/evidence/make.py [FOLDER]

It writes into FOLDER, or here. It copies `pipelines/` into a temporary project, runs `sales` on the
sample drop and `daily` on this machine, and kills a five-step run with SIGKILL in its third step,
to run it again. The project's path and the names of host and user are written as `~/project`,
`host` and `user`. What is to be shown is checked; the script fails if it is not so.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
SAMPLE_DAY = "2026-03-03"
BEGUN_WITHIN_S = 30.0

TRIAL = '''\
"""Five steps, one after another; the third waits as long as a file named `hold` is there."""

import time

from engine import Step, Workflow


def note(ctx):
    with open(ctx.paths.root / "effects.txt", "a") as file:
        file.write(f"{ctx.step} ran in run {ctx.run_id}\\n")


def collect(ctx):
    note(ctx)
    return [3, 1, 2]


def order(ctx):
    note(ctx)
    return sorted(ctx["collect"])


def weigh(ctx):
    note(ctx)
    while (ctx.paths.root / "hold").exists():
        time.sleep(0.05)
    return sum(ctx["order"])


def write(ctx):
    note(ctx)
    with ctx.output("total.txt") as file:
        file.write(f"{ctx['order']} weigh {ctx['weigh']}\\n")


def tell(ctx):
    note(ctx)


workflow = (
    Workflow("trial")
    .add(Step("collect", collect))
    .add(Step("order", order, depends_on=["collect"]))
    .add(Step("weigh", weigh, depends_on=["order"]))
    .add(Step("write", write, depends_on=["weigh"]))
    .add(Step("tell", tell, depends_on=["write"]))
)
'''


class Project:
    """A temporary project and the transcript of what was done in it."""

    def __init__(self, folder: Path, results: Path) -> None:
        """Work in `folder`, out of reach of the machine's own settings; write into `results`."""
        self.folder = folder
        self.results = results
        self.lines: list[str] = []
        self._env = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("ENGINE_", "KAHNBAN_", "MAIL_"))
            and name not in ("SLACK_WEBHOOK_URL", "SMTP_URL", "COLUMNS")
        }
        self._env |= {"COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": str(CHECKOUT)}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `python -m engine …` in a process group of its own."""
        self.lines.append(f"$ python -m engine {' '.join(arguments)}")
        return subprocess.Popen(
            [sys.executable, "-m", "engine", *arguments],
            cwd=self.folder,
            env=self._env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def engine(self, *arguments: str, says: str = "") -> None:
        """Run a command to its end and write down what it said; it must succeed, and say `says`."""
        process = self.start(*arguments)
        said, _ = process.communicate()
        _check(process.returncode == 0, said)
        _check(says in said, f"not {says!r} but\n{said}")
        self.lines += [*said.splitlines(), f"[exit code {process.returncode}]", ""]

    def say(self, text: str) -> None:
        """Write down a remark, as a comment."""
        self.lines.append(f"# {text}")

    def show(self, name: str) -> None:
        """Write down what a file holds."""
        self.lines += [f"$ cat {name}", *(self.folder / name).read_text("utf-8").splitlines(), ""]

    def neutral(self, text: str) -> str:
        """Take this machine's names and paths out of a text."""
        replaced = [
            (str(self.folder), "~/project"),
            (str(CHECKOUT), "~/kahnban"),
            (sys.executable, "python"),
        ]
        for found, instead in sorted(replaced, key=lambda pair: -len(pair[0])):
            text = text.replace(found, instead)
        text = text.replace("~/kahnban/.venv/bin/python", "python")
        for found, instead in ((socket.gethostname(), "host"), (getpass.getuser(), "user")):
            text = re.sub(rf"(?<![\w/-]){re.escape(found)}(?![\w/-])", instead, text)
        return text

    def write(self, name: str) -> None:
        """Write the transcript so far into this folder, and begin a new one."""
        (self.results / name).write_text(
            self.neutral("\n".join(self.lines).rstrip() + "\n"), "utf-8"
        )
        print(f"wrote {name}")
        self.lines = []

    def keep(self, path: Path, name: str) -> None:
        """Keep a file that a run made."""
        (self.results / name).write_text(self.neutral(path.read_text("utf-8")), "utf-8")
        print(f"wrote {name}")


def kill_and_resume(project: Project) -> None:
    """SIGKILL in step three of five, `show`, run again, and what was done twice."""
    (project.folder / "pipelines" / "trial.py").write_text(TRIAL, "utf-8")
    effects, hold = project.folder / "effects.txt", project.folder / "hold"
    hold.touch()
    process = project.start("run", "trial")
    _wait_for(lambda: effects.exists() and "weigh" in effects.read_text("utf-8"))
    os.killpg(process.pid, signal.SIGKILL)
    said, _ = process.communicate()
    project.lines += said.splitlines()
    _check(process.returncode == -signal.SIGKILL, "the run was not killed")
    project.lines += [f"[killed: SIGKILL, exit code {128 + signal.SIGKILL}]", ""]
    project.say("the engine is dead; looking changes nothing")
    project.engine("show", "trial", says="interrupted")
    project.show("effects.txt")
    hold.unlink()
    project.say("what a run would do, and then the run itself")
    project.engine("run", "trial", "--dry-run", says="ok in run 3")
    project.engine("run", "trial")
    project.show("effects.txt")
    project.show("total.txt")
    ran = [line.split()[0] for line in effects.read_text("utf-8").splitlines()]
    _check(
        ran == ["collect", "order", "weigh", "weigh", "write", "tell"], f"the steps ran as {ran}"
    )
    total = (project.folder / "total.txt").read_text("utf-8")
    _check(total == "[1, 2, 3] weigh 6\n", f"the result is {total!r}")
    project.engine("history", "trial")
    project.write("kill-and-resume.txt")


def sales(project: Project) -> None:
    """`sales` on the drop in the repository: console, log, run report, and the pages it made."""
    project.engine("run", "sales")
    project.engine("show", "sales")
    project.write("sales.txt")
    home = project.folder / "var"
    project.keep(home / "logs" / "sales.log", "sales.log")
    _keep_report(project, "sales")
    for ending in ("html", "txt"):
        project.keep(
            home / "outbox" / f"sales-{SAMPLE_DAY}.{ending}", f"sales-{SAMPLE_DAY}.{ending}"
        )


def daily(project: Project) -> None:
    """`daily` on this machine: its log and its run report; the page names too much of a machine."""
    project.engine("run", "daily", "--workers", "4")
    project.write("daily.txt")
    project.keep(project.folder / "var" / "logs" / "daily.log", "daily.log")
    _keep_report(project, "daily")


def _keep_report(project: Project, name: str) -> None:
    (report,) = (project.folder / "var" / "reports").glob(f"run-*-{name}.json")
    json.loads(report.read_text("utf-8"))
    project.keep(report, f"{name}-run-report.json")


def _check(fact: object, otherwise: str) -> None:
    if not fact:
        raise RuntimeError(otherwise)


def _wait_for(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + BEGUN_WITHIN_S
    while not condition():
        _check(time.monotonic() < ends_at, "the third step did not begin in time")
        time.sleep(0.02)


def main() -> None:
    """Make everything."""
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    with tempfile.TemporaryDirectory(prefix="kahnban-evidence-") as folder:
        project = Project(Path(folder).resolve(), results)
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / "pipelines", project.folder / "pipelines", ignore=left_out)
        sales(project)
        daily(project)
        kill_and_resume(project)


if __name__ == "__main__":
    main()
