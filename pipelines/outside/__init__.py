"""Models that others made, each behind the interface of a segmenter."""
