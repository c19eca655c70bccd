"""Ways of searching: each is an Optuna sampler."""
