"""What `bench/scorecard.py` is made of: a generated world, three other ways to read it, faults."""
