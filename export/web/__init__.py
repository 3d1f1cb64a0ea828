"""An avatar that moves in a web page: arrays, a manifest, and a small viewer in plain JavaScript."""
