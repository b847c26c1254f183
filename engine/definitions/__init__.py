"""Finding and loading workflows: `loader`, which runs a file of Python, or reads one of another.

A file in YAML or JSON is a `source`, of which `yaml_reader` or `json_reader` makes `nodes`
(`yaml_words` and `json_words` say what is wrong with the syntax). `config` reads these by the
tables in `fields`: the keys of `mappings` have values of some form (`forms`, `collection_forms`,
`time_forms`); `parameters` and `conditions` are read beyond that. Of what holds so far,
`dotted_names` gets the Python that it names (`python_faults` tells what that raises). `schema` says
the tables as JSON Schema.
"""

from __future__ import annotations

from engine.definitions.loader import Found, file_of, find_all, load, load_file

__all__ = ["Found", "file_of", "find_all", "load", "load_file"]
