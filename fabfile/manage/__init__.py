"""Tasks for the days after the first."""
