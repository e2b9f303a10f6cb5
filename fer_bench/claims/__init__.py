"""A claim about a model becomes a verdict: its score is measured again, and a lower one is explained if it can be."""
