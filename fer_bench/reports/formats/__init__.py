"""One writer a format; each escapes foreign text in one place."""

FIGURES = (".svg", ".pdf", ".png")
"""How names of files end that figures are saved to."""
