"""The studio behind the page: the library of avatars, photos that were uploaded, and jobs that build and dress avatars.

Nothing here imports torch or a builder: those run in separate processes, through the command line.
"""
