"""Data sets: each look of a person over the same motion, with cameras, expressions and maps, for our own and other trainers.

The layout is written down in docs/dataset-format.md.
"""
