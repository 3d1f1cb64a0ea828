"""Photometric refinement of the lifted Gaussians, and corrections after it."""
