"""One file a command: chains a reader, a model and a writer."""
