"""Animators: from an edited portrait to pictures of it in motion, with cameras, expressions and part masks."""
