"""A catalogue of synthesised songs: artificial singers with accompaniment, as audio files with the truth about them.

`singer` describes the singers and `song` the songs, `phrasing` turns notes and syllables into curves over time, `voice`
and `accompaniment` synthesise the sound, `encode` writes audio files, and `catalogue` fills a folder with them.
Conventions: audio is float32 in [-1, 1], mono `(samples,)` or `(channels, samples)`, and always goes with its sample
rate; pitches are MIDI numbers (69 is A4, 440 Hz); all randomness comes from a generator that is passed in.
"""
