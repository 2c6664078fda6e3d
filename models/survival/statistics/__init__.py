"""Statistics of time to event, in numpy float64: curves, tests and measures."""
