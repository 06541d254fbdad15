"""Whether the files of datasets are there, whole, and labelled as they say."""
