"""A page with a slider per latent: the generator runs in the browser, and no request leaves the machine."""
