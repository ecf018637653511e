"""Files of other tools, read into recordings: one reader a kind of file.

What is read here was written by others: nothing in it is executed, names are kept as data, memory
is bounded whatever the files hold, and what could not be known becomes a finding.
"""
