"""From words to coded requests."""
