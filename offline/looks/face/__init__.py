"""Looks of the face: shapes, eye colour, lips and make-up."""
