"""The texts that `init` writes: a first workflow, in Python and in YAML, that runs as it is."""

from __future__ import annotations

NAME = "hello"
IGNORED = "/out/\n/var/\n"

IN_PYTHON = '''\
"""Greet somebody, and count the words of the greeting."""

from engine import Param, Step, Workflow, shell


def greet(ctx):
    return f"Hello, {ctx.params['name']}!"  # later steps find it as ctx["greet"]


def write(ctx):
    with ctx.output("out/hello.txt") as file:  # there once the step has succeeded, never in part
        print(ctx["greet"], file=file)


workflow = (
    Workflow("hello", params={"name": Param(str, default="world")})  # or --set name=Ada
    .add(Step("greet", greet))
    .add(Step("write", write, depends_on=["greet"], retries=3))
    .add(Step("count", shell("wc -w < out/hello.txt"), depends_on=["write"], timeout="1m"))
)
'''

IN_YAML = """\
description: Greet somebody, and count the words of the greeting.
params:
  name: world # or --set name=Ada
steps:
  - name: greet
    command: echo "Hello, $KAHNBAN_PARAM_name!" > "$OUT"
    output: out/hello.txt # there once the step has succeeded, never in part
    retries: 3
  - name: count
    command: wc -w < out/hello.txt
    depends_on: [greet]
    timeout: 1m
"""
