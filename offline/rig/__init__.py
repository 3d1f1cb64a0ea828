"""The personal head rig: its shape, its neutral expression, its skinning weights, and how the photo's camera sees it."""
