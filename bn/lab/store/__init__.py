"""What is kept: files, records with their provenance, the claims that judge them, and the processes that make them."""
