"""What load to send: plans, shapes, schedules, requests, abort conditions, and what became of them."""
