"""Marking films as made with an avatar, in a form that programs read: C2PA manifests, or signed side files."""
