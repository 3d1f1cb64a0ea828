"""Colours of the head: what the photo shows, from the mirrored half or further pictures where it does not."""
