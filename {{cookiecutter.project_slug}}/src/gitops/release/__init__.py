"""A merge becomes a release: Bento, image, tag, papers, and the proof of each."""
