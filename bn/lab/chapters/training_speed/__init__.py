"""training_speed."""
