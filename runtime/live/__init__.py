"""The live session: camera -> tracked face -> drawn avatar -> sinks, each step on a thread of its own."""
