"""`db verify`: what is wrong with the store, or that nothing is."""

from __future__ import annotations

import argparse

from engine.cli import project
from engine.cli.console import print_json, print_result

EXIT_FAULTS = 3


def verify(parsed: argparse.Namespace) -> int:
    """Print a line per finding and what it comes to; 3 if there is a fault. Changes nothing."""
    from store.database import open_reader, path_of
    from store.verify import verify as check

    database = open_reader(path_of(project.paths_of(parsed).store_url))
    try:
        findings = list(check(database))
    finally:
        database.close()
    faults = sum(finding.fault for finding in findings)
    if parsed.json:
        rows = [{"fault": finding.fault, "text": finding.text} for finding in findings]
        print_json({"store": str(database.path), "faults": faults, "findings": rows})
    else:
        for finding in findings:
            print_result(f"{'fault' if finding.fault else 'note'}: {finding.text}")
        print_result(f"{faults} fault{'s' if faults > 1 else ''}" if faults else "ok")
    return EXIT_FAULTS if faults else 0
