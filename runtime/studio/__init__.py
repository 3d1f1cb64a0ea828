"""The studio behind the page: the library of avatars, uploaded photos, and jobs that build avatars and add looks.

Nothing here imports torch or a builder: those run in separate processes, through the command line.
"""
