"""What the command does, shows and keeps: commands, progress, timings, run folders, errors."""
