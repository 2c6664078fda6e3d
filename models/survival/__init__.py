"""Survival: statistics of time to event, and models that predict it."""
