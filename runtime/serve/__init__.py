"""Many drivers on one machine: a process for each session behind one port."""
