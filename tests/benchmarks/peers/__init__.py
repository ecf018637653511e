"""Other simulators of the same systems; each file stands alone and may be read as an example of its tool."""
