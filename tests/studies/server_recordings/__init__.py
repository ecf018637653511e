"""Recordings of real servers under real load, each a piece of data and one command to make it again."""
