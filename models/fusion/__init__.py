"""Ways to let one modality steer another, one method a file."""
