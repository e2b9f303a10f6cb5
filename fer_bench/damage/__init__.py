"""Corrupted images: what ``run --corrupt`` does to test images, on the device."""
