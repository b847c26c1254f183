"""Commands, exit codes, signals, console: the only place where the parts are wired together."""
