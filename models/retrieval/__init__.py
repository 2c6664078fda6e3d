"""Searching vectors: exact, and approximate where exact gets slow."""
