"""Gaussians from pixels: a module each for skin, eyes, mouth, hair and clothes."""
