"""What export, which builds engines, and runtime, which runs them, agree on: the graphs, the folder they are in, the GPU."""
