"""Looks of hair: colour, length, pieces, eyebrows and beard."""
