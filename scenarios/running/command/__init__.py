"""The command ``eventsim``: where it meets the shell, and what it does with run folders."""
