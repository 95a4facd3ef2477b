"""Settings of nodes and of commands: flags, environment variables, `fleet.toml`, and one table behind them.

`settings` is the table, `kinds` how values are written, `file` reads `fleet.toml`, `effective` applies the
precedence, `checks` has the rules, and `starter` and `units` the files that
`fleet config init` writes.
"""
