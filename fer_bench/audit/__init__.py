"""Audit: copies, near copies, leaks and stains of prepared data, within a data set and across them."""
