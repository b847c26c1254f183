"""The page of one run: what its reader wants to know first comes first."""

from __future__ import annotations

from engine.reports.html.facts import PageFacts
from engine.reports.html.layout import document
from engine.reports.html.markup import Html
from engine.reports.html.words import badge, word
from engine.text import printable

__all__ = ["PageFacts", "body", "document_of"]


def body(facts: PageFacts) -> Html:
    """Give the inside of the page, also for one that is shown anew while the run is on."""
    report = facts.report
    return Html('<header class="head"><h1>{}</h1>{}</header>').format(
        report["workflow"], badge(report["status"])
    )


def document_of(facts: PageFacts) -> str:
    """Give the whole page as one file."""
    return document(title(facts), body(facts))


def title(facts: PageFacts) -> str:
    """Give what a browser's tab says."""
    report = facts.report
    return printable(f"{report['workflow']}, run {report['run_id']}: {word(report['status'])}")
