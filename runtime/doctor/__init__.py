"""What this machine has for live sessions, what is missing, and what is slow."""
