"""Encoders of tiles, one file each; the file is named as the option."""
