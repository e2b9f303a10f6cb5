"""Tasks: what a run does with prepared data before it trains: views, label sets, faces cut out, groups, folds."""
