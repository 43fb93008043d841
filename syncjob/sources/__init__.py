"""Where records come from: the vendors, and the way to ask them."""
