"""Which pixels of the portrait are the person, and of the person skin, hair and clothes."""
