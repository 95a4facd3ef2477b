"""`python -m fleet.cli`: the `fleet` command where the script is not on the path."""

from fleet.cli import main

main(prog_name="fleet")
