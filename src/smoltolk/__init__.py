"""SmolTolk: turn a pretrained text language model into one that also hears and speaks."""

__version__ = "0.1.0"
