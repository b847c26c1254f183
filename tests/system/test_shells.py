"""Completion, as real shells do it."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from engine.cli.completion import SCRIPTS
from tests.system.project import Project

ASK_BASH = """
{script}
compopt() {{ :; }}
for line in "$@"; do
    read -ra COMP_WORDS <<<"$line"
    [[ $line != *' ' ]] || COMP_WORDS+=('')
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    COMPREPLY=()
    _kahnban
    echo "${{COMPREPLY[*]}}"
done
"""
ASK_FISH = """
{script}
for line in $argv
    echo (complete -C $line | string replace -r '\\t.*' '')
end
"""


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_shell_completes(project: Project, shell: str) -> None:
    """Ours and our `./dev`, in spaces and all; another's `dev` is not called."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    project.write("daily", "raise SystemExit('loaded')")
    call = f'#!/bin/sh\nexec "{sys.executable}" -m engine "$@"\n'
    for program in ("bin/kahnban", "our/dev", "their/dev"):
        path = project.root / program
        path.parent.mkdir()
        path.write_text(call if "their" not in program else "#!/bin/sh\ntouch called\n")
        path.chmod(0o755)
    marker = project.root / "our/engine/cli/completion.py"
    marker.parent.mkdir(parents=True)
    marker.touch()
    script = (ASK_BASH if shell == "bash" else ASK_FISH).format(script=SCRIPTS[shell])
    lines = ["kahnban run da", "our/dev run ", "their/dev run "]
    done = subprocess.run(
        [shell, "-c", script, *([shell] if shell == "bash" else []), *lines],
        cwd=project.root,
        env=project.env(PATH=f"{project.root}/bin:/usr/bin:/bin", LC_ALL="C.UTF-8"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.splitlines(), done.stderr) == (["daily", "daily", ""], "")
    assert not (project.root / "called").exists()


def test_zsh_reads_its_script() -> None:
    """Its completion needs a terminal; here it is read, not asked."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    done = subprocess.run(["zsh", "-n", "-c", SCRIPTS["zsh"]], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
