"""Shared by export, which builds engines, and runtime, which runs them: graphs, engine folders, GPUs."""
