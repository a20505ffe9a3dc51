"""What goes into the image: this installation as a wheel, what it depends on, and how they are put together."""
