"""Live sessions of many drivers: a process per session behind one port."""
