"""What is done to patterns and micrographs before spots are sought: centre, FFT, Bragg filter, virtual images."""
