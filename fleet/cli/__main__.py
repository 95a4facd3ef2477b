"""`python -m fleet.cli`: the `fleet` command where the script is not on the path."""

from fleet.cli import main

if __name__ == "__main__":  # a process that is spawned from here reads this module, too
    main(prog_name="fleet")
