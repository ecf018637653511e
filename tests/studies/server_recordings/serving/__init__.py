"""What runs inside the servers under test and inside Locust: no module here imports another of this project."""
