"""Readers and writers: bytes, headers, standards, coordinates on disk. No network, no torch."""
