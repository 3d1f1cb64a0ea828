"""Hotkeys of a session: system-wide, and in the terminal. The page handles its keys itself."""
