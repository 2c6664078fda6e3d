"""Writers, one file a format: strict, atomic, reread in their tests."""
