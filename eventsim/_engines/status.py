"""Why a compiled loop of an engine returned."""

__all__ = [
    "ARRIVALS_FULL",
    "ASKS",
    "CAPPED",
    "DONE",
    "FLIGHTS_FULL",
    "FOUND_FULL",
    "MEETS",
    "PAUSED",
    "RECORD_FULL",
]

# PAUSED: it has worked for long enough to look for Ctrl-C, and is to be called again.
# RECORD_FULL: the record has no room for the next spike.  CAPPED: a sample has more spikes than it
# may.  The others are of windows: too many arrivals to be gathered, spikes of one window, or spikes
# in flight; MEETS and ASKS: what other processes have found, or when they go on, has to be known.
PAUSED, DONE, RECORD_FULL, CAPPED, ARRIVALS_FULL, FOUND_FULL, FLIGHTS_FULL, MEETS, ASKS = range(9)
