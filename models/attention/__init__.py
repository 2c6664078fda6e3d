"""Attention, one method a file."""
