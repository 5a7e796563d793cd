"""Data: digits, MNIST and folders of photographs, fetched, read, and augmented for training."""
