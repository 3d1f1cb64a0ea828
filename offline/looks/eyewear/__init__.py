"""Glasses."""
