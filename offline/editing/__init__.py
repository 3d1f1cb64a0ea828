"""Editors: a portrait with another look, as a picture, a region of it, and an attribute of the avatar."""
