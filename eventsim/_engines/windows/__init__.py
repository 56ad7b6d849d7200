"""The window engine: recurrent networks with delays, a window of time after another."""
