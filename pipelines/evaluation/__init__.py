"""What ``mmtool evaluate`` runs."""
