"""Training: the networks of sections 4.1 and 4.2, the loops that train them, and the runs that are kept."""
