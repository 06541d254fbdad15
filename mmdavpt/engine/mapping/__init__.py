"""When the class-to-prompt mapping is made, and from what."""
