"""Attributes as the network learns them: from Gaussians that are known, and from pictures."""
