"""How fast the library is against its peers, measured in one run."""
