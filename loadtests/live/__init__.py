"""What a live service showed, window by window."""
