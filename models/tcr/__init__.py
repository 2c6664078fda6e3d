"""Parts of models of T-cell receptors and peptides."""
