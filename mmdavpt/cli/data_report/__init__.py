"""Show a data report: as text, JSON and an HTML page."""
