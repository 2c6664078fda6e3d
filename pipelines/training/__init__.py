"""What ``mmtool train`` runs."""
