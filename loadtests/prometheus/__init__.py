"""What a Prometheus server knows of a tested or a live server: gauges for a recording, or a whole recording."""
