"""What a running test writes down, and the recording that is made of it."""
