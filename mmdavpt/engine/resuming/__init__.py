"""Resume exactly where a run was stopped."""
