"""Built-in attributes: what can be added to any avatar, and how it gets into its file."""
