"""Measuring this machine: drawing alone, engines against each other, a whole live session."""
