"""Whatever a group of people does in whatever order, no unsigned target counts."""
