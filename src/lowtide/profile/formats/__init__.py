"""The forms a profile takes outside lowtide; one file each."""
