"""What several scenarios train, stream to disk, or run in other simulators."""
