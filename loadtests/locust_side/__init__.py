"""What only the Locust process loads, beside `loadtests.locustfile` and `loadtests.listener`."""
