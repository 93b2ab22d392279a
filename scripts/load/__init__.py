"""Load tests: rooms full of people at any Plumm server that has a key for them."""
