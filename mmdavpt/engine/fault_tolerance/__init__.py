"""What a training goes on in spite of, where that is asked for."""
