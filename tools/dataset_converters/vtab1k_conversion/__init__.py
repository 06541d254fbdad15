"""Write a task of VTAB-1k from an original download or from TFDS files."""
