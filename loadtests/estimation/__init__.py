"""From requests to numbers with intervals: steady windows, blocks of time, bins, histograms, repeats."""
