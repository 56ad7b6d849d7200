"""The scheduler: one priority queue, any network, one event after another."""
