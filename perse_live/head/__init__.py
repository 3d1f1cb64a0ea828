"""The head: its rig, its landmarks, and fitting the one to the other."""
