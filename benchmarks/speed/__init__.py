"""Speed and memory of training and inference, counted and timed."""
