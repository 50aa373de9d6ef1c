"""Training: the step, its recording, the epochs of a fit, and who is told of them."""
