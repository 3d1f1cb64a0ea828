"""Camera or video -> tracked face -> drawn avatar -> files. Imports no torch."""
