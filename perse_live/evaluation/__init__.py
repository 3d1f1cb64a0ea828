"""Likeness of avatars: self-reenactment of real clips, and its metrics.

One frame of a clip is the portrait; the avatar made from it is driven by the other frames and compared with them, inside the
face only. Building and drawing are done by the command.
"""
