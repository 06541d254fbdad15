"""Going on exactly where a run was stopped."""
