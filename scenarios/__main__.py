"""``python -m scenarios`` is the command ``eventsim``."""

import sys

from scenarios.running.command.cli import main

if __name__ == "__main__":
    sys.exit(main())
