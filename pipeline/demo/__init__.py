"""A catalogue of songs made from numbers: synthetic singers with accompaniment, as audio files with their truth.

`singer` says who sings, `song` what is sung, `phrasing` turns notes and syllables into curves over time,
`voice` and `accompaniment` make the sound, `encode` writes audio files, `catalogue` puts a folder together.
Conventions: audio is float32 in [-1, 1], mono `(samples,)` or `(channels, samples)`, and never travels without its
sample rate; pitch is in MIDI numbers (69 is A4, 440 Hz); all that is random comes from a generator that is passed in.
"""
