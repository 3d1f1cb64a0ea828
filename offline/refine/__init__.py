"""Photometric refinement of the lifted Gaussians, and what is repaired after it."""
