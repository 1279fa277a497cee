"""The path to remote targets: conditions, and links that impose them."""
