"""A real HTTP server with a real admission gate, to measure on one machine."""
