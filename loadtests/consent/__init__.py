"""What the scripts about consent share."""
