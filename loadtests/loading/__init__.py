"""What the questions about loading share: chunks as tag processes write them, and a loader."""
