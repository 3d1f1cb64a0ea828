"""Portrait -> avatar. The only stage that needs torch."""
