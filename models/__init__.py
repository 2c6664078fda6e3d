"""Networks and their parts. Knows no file format but its weights."""
