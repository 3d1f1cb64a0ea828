"""Keys that act on the session: system-wide, and in the terminal. The page has its own."""
