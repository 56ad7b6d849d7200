"""What the user sees while a scenario runs: progress, errors, texts that a terminal may show."""
