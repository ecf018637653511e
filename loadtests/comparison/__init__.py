"""Did this release get worse? Two recordings, step by step, with intervals and a verdict by margin."""
