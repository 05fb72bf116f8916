"""osn for PyTorch: its names are those of ``osn`` itself."""
