"""For authors of plugins: drawn copies of the layouts in which data sets lie on disk, see `layouts`."""
