"""Data: adapters for plugin authors, preparing, and reading what was prepared. Nothing here imports jax."""
