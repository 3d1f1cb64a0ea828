"""Gaussians from pixels: skin, eyes, mouth, hair and clothes, each with a module of its own."""
