"""What the scripts about the tag endpoint share: one request, its peers, load and CPU clock."""
