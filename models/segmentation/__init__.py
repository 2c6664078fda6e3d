"""Networks that label voxels."""
