"""The engines: a room each, with a host that prepares and a loop that is compiled."""
