"""Sinks of drawn frames: virtual camera, recording, preview window. `contract` defines the interface."""
