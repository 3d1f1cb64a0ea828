"""Hats, headphones and earrings."""
