"""What ``mmtool report`` says of an image from the vectors of an encoder."""
