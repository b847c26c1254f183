"""The page's look: one quiet column, light and dark, for a screen, a phone and paper."""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fcfcfa; --ink: #1d1f21; --soft: #666a6e; --line: #e2e1dc; --track: #e9e8e3;
  --ok: #2f7d4f; --notice: #2f6690; --warning: #a8620a; --critical: #b3261e; --fill: #7d8790;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181a; --ink: #e4e3df; --soft: #9a9c9e; --line: #2d3033; --track: #2a2d30;
    --ok: #6fbf8b; --notice: #7fb2dd; --warning: #e0a458; --critical: #f08a80; --fill: #7b858e;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
    "Liberation Sans", "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 46rem; margin: 0 auto; padding: 3.5rem 1.5rem 3rem; }
h1 { font-size: 2.1rem; line-height: 1.18; font-weight: 600; letter-spacing: -0.015em;
  margin: 0.3rem 0 0; text-wrap: balance; overflow-wrap: anywhere; }
h2 { font-size: 1.06rem; font-weight: 600; margin: 0 0 0.9rem; }
p { margin: 0; }
section { margin-top: 2.9rem; }
.when, .about, .soft, th { color: var(--soft); }
.when { font-size: 0.94rem; }
.about { margin-top: 0.6rem; font-size: 0.94rem; }
.small { font-size: 0.875rem; }
.ok { --tone: var(--ok); } .notice { --tone: var(--notice); }
.warning { --tone: var(--warning); } .critical { --tone: var(--critical); }
header::before { content: ""; display: block; width: 3.2rem; height: 4px; border-radius: 2px;
  background: var(--tone); margin-bottom: 1.3rem; }

.findings { list-style: none; margin: 0; padding: 0; }
.findings li { padding: 0.95rem 0 1rem; border-top: 1px solid var(--line);
  display: grid; grid-template-columns: 6.2rem 1fr; gap: 0 0.8rem; }
.findings li:last-child { border-bottom: 1px solid var(--line); }
.mark { color: var(--tone); font-weight: 600; font-size: 0.875rem; line-height: 1.7; }
.mark::before { content: ""; display: inline-block; width: 0.5em; height: 0.5em;
  border-radius: 50%; background: var(--tone); margin-right: 0.5em; vertical-align: 0.1em; }
.what { font-weight: 550; overflow-wrap: anywhere; }
.what::first-letter { text-transform: uppercase; }
.facts { overflow-wrap: anywhere; }
.todo { margin-top: 0.25rem; font-size: 0.905rem; color: var(--soft); overflow-wrap: anywhere; }
.todo::before { content: "→ "; }

.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.2rem, 1fr));
  gap: 1.3rem 1.2rem; margin: 0; }
.numbers dt { font-size: 0.875rem; color: var(--soft); }
.numbers dd { margin: 0; }
.numbers .value { font-size: 1.5rem; line-height: 1.25; font-weight: 500; }
.numbers .change { font-size: 0.8125rem; color: var(--soft); }

.meter { padding: 0.7rem 0; border-top: 1px solid var(--line); }
.meter:last-child { border-bottom: 1px solid var(--line); }
.meter .row { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; }
.meter .name { font-weight: 550; overflow-wrap: anywhere; }
.meter .under { font-size: 0.875rem; color: var(--soft); flex-wrap: nowrap; align-items: end; }
.bar { display: block; width: 100%; height: 7px; margin: 0.4rem 0 0.35rem; }
.track { fill: var(--track); } .fill { fill: var(--fill); }
.notice .fill, .warning .fill, .critical .fill { fill: var(--tone); }
.spark { flex: none; width: 6.5rem; height: 1.35rem; overflow: visible; }
.spark path { fill: none; stroke: var(--fill); stroke-width: 1.5; stroke-linejoin: round;
  vector-effect: non-scaling-stroke; }

table { width: 100%; border-collapse: collapse; font-size: 0.94rem; }
th { text-align: left; font-weight: 400; font-size: 0.875rem; padding: 0 0.8rem 0.3rem 0; }
td { padding: 0.42rem 0.8rem 0.42rem 0; border-top: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
th:last-child, td:last-child { padding-right: 0; }
.k { overflow-wrap: break-word; min-width: 4.5rem; }
.n { text-align: right; white-space: nowrap; overflow-wrap: normal; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem 2.5rem; }
.pair > * { min-width: 0; }
caption { text-align: left; font-size: 0.875rem; color: var(--soft); padding-bottom: 0.4rem; }
code { font: 0.9em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono",
  "DejaVu Sans Mono", monospace; }
.more { margin-top: 0.7rem; }
.gap { margin-top: 1.5rem; }
dl.plain { margin: 0; display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1.2rem; }
dl.plain dd { margin: 0; color: var(--soft); overflow-wrap: anywhere; }
footer { margin-top: 3.2rem; padding-top: 1rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: 0.875rem; overflow-wrap: anywhere; }

@media (max-width: 34rem) {
  main { padding: 1.8rem 1.1rem 2rem; }
  h1 { font-size: 1.65rem; }
  section { margin-top: 2.3rem; }
  .findings li { grid-template-columns: 1fr; }
  .pair { grid-template-columns: 1fr; }
  .numbers { grid-template-columns: 1fr 1fr; }
  dl.plain { grid-template-columns: 1fr; gap: 0; } dl.plain dd { margin-bottom: 0.5rem; }
}
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #444; --line: #ccc; --track: #eee; --fill: #777;
    --ok: #1d5c37; --notice: #1d4d70; --warning: #7a4600; --critical: #8c1d18; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  section { margin-top: 1.6rem; break-inside: avoid; }
  li, tr, .meter { break-inside: avoid; }
  svg, .mark::before, header::before { print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
}
"""
