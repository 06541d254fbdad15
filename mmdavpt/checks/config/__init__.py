"""Whether a config can be run, and as it says; no data are read."""
