"""Built-in attributes: makers for any avatar, and the commands that add them to its file."""
