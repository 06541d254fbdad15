"""What is looked at before a run, so that it does not fail in the middle."""
