"""One writer a format; each escapes foreign text in one place."""
