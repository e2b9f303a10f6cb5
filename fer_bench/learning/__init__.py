"""Learning: a plan of phases carried out on the folds of a task."""
