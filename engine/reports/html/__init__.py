"""Pages for a browser: facts in, HTML out; nothing here reads a store, a file or a clock.

`run_page` makes the page of a run, which stands alone; the dashboard shows the same parts.
"""
