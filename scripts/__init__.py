"""Programs that keep the checkout in order; the product does not need them."""
