"""Short training of a network, dense or under masks, and its evaluation."""
