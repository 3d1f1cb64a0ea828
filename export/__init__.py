"""Avatar -> engines and interchange files."""
