"""The generative network of attributes: what each Gaussian looks like under an attribute's LoRA adapter."""
