"""Compare finished trainings on an HTML page."""
