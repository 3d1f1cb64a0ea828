"""Run once by an author, not by a build: what ships with the package is made here."""
