"""From scores to what stays, and what that does to the network."""
