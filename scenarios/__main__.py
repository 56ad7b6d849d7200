"""``python -m scenarios NAME`` is ``eventsim run NAME``."""

import sys

from scenarios.cli import COMMANDS, main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    named = bool(arguments) and arguments[0] not in COMMANDS and not arguments[0].startswith("-")
    sys.exit(main(["run", *arguments] if named else arguments))
