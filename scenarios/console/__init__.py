"""What the command shows and keeps: progress, timings, run folders, `eventsim info`."""
