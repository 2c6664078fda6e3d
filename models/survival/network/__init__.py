"""What the fusion networks of survival share: tokens, hazards, training, files."""
