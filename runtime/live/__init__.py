"""The live session: camera -> tracked face -> drawn avatar -> sinks, each step on a separate thread."""
