"""Looks of the skin: tone and age."""
